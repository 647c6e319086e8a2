package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// writeFile has a file written that its owner alone can read. It gets its name once it is complete and on the disk; until
// then, and where anything fails, what had the name before stays. Without force nothing may have it.
func writeFile(name string, force bool, write func(io.Writer) error) (err error) {
	if err := free(name, force); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		draft.Close() // a second time changes nothing
		if gone := os.Remove(draft.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := write(draft); err != nil {
		return err
	}
	if err := errors.Join(draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return publish(draft.Name(), name, force)
}

func publish(draft, name string, force bool) error {
	// A link fails where the name was taken meanwhile; a rename would overwrite.
	err := errors.ErrUnsupported
	if !force {
		err = os.Link(draft, name)
	}
	if err != nil {
		// Not every file system knows links.
		if err := free(name, force); err != nil {
			return err
		}
		if err := os.Rename(draft, name); err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" { // which has no such thing
		return nil
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// free reports whether a file may get this name. What is no file (a device, a link) is never replaced.
func free(name string, force bool) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is there and is no file", name)
	case !force:
		return fmt.Errorf("%s is there already; name another file, or replace it with --force", name)
	}
	return nil
}
