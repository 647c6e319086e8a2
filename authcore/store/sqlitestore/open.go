package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Open opens the file, which it makes where there is none, with the folders above it, and brings it up to date. It answers
// sqlstore.ErrNewerSchema for a file of a newer release and authcore.ErrUnavailable where the file cannot be used now.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: open %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	err = makePrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	return use(ctx, path)
}

// use opens a file that exists.
func use(ctx context.Context, path string) (*Store, error) {
	s, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// create makes the file. It is made under another name and appears under its own once it is complete, so a start that
// fails, or is killed, leaves nothing that the next one would stumble over, and of two that start at once
// the second uses what the first has made.
func create(ctx context.Context, path string) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		for _, suffix := range beside {
			if gone := os.Remove(draft.Name() + suffix); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	if err := draft.Close(); err != nil {
		return err
	}
	s, err := use(ctx, draft.Name())
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	return publish(draft.Name(), path)
}

// publish gives the draft its name, durably, unless the name is taken by now.
func publish(draft, path string) error {
	err := os.Link(draft, path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		// Not every file system knows links. What a rename could overwrite is a file made since we looked.
		if err := os.Rename(draft, path); err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" { // which has no such thing
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// beside are the endings of the names of all files that belong to a database: its own, the log, and the index of the log.
var beside = []string{"", "-wal", "-shm"}

// makePrivate takes from everybody else what rights they have on the file and on those beside it. It answers
// fs.ErrNotExist where there is no file.
func makePrivate(path string) error {
	for _, suffix := range beside {
		info, err := os.Stat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist) && suffix != "":
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return errors.New("it is not a regular file")
		case info.Mode().Perm()&0o077 != 0:
			if err := os.Chmod(path+suffix, info.Mode().Perm()&0o700); err != nil {
				return fmt.Errorf("others can read it: %w", err)
			}
		}
	}
	return nil
}
