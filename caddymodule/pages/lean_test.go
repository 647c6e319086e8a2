package pages

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLeanScript(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"comment on its own line", "a\n// why\nb\n", "a\nb"},
		{"comment behind a statement", "a; // why\nb\n", "a;b"},
		{"comment in a block", "f(() => {\n\t// why\n\tb();\n});\n", "f(()=>{b();});"},
		{"address in a string", "fetch('https://x'); // y\n", "fetch('https://x');"},
		{"two statements without semicolon", "a = b\nc()\n", "a=b\nc()"},
		{"block before a statement", "if (a) {\n\tb()\n}\nc()\n", "if(a){b()}\nc()"},
		{"chain over lines", "a\n\t.b()\n\t?.c()\n", "a.b()?.c()"},
		{"choice over lines", "a\n\t? b\n\t: c\n", "a?b:c"},
		{"words", "return typeof a in b\n", "return typeof a in b"},
		{"plus plus", "a + +b - -c\n", "a+ +b- -c"},
		{"template", "`a  ${ b + `}  ${c}` }  d`  + e\n", "`a  ${ b + `}  ${c}` }  d`+e"},
		{"pattern with what looks like a comment", "a.replace(/[/]\\/\\/ '/g, b)\n", "a.replace(/[/]\\/\\/ '/g,b)"},
		{"division", "a / b / c\n", "a / b / c"},
		{"private name", "get #a() {}\n", "get #a(){}"},
		{"beyond ASCII", "const ä = '…' ;\n", "const ä='…';"},
		{"nothing but a comment", "// a", ""},
	} {
		if got := leanScript(test.in); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestLeanStyle(t *testing.T) {
	for in, want := range map[string]string{
		"a {}\n/* why\n   so */\nb {}\n":                              "a{}b{}",
		":root {\n  --a: #fff;\n  font: 100%/1.5 x, y;\n}\n":          ":root{--a:#fff;font:100%/1.5 x,y}",
		"a > b :hover, a:not([c], d) + e { width: calc(1px - 2px); }": "a>b :hover,a:not([c],d) + e{width:calc(1px - 2px)}",
		"@media (a: b) and (c) { d { e: f } }":                        "@media (a:b) and (c){d{e:f}}",
	} {
		if got := leanStyle(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Node reads the modules before and after, and prints what each is as a function: where they differ in more than space and
// comments, or are no modules any more, one of them is not what was written.
func TestLeanModulesAreModules(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node, which the end-to-end suite needs too, is not there")
	}
	dir := t.TempDir()
	args := []string{"--experimental-vm-modules", "--no-warnings", "-e", `
		const vm = require('vm'), fs = require('fs');
		for (const f of process.argv.slice(1)) new vm.SourceTextModule(fs.readFileSync(f, 'utf8'), { identifier: f });`, "--"}
	for name, source := range New().assets {
		if strings.HasSuffix(name, ".js") {
			file := filepath.Join(dir, name)
			must(0, os.WriteFile(file, source, 0o600))
			args = append(args, file)
		}
	}
	if out, err := exec.Command(node, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, f := range must(fs.Glob(files, "assets/*.js")) {
		// A comment over lines is not known to leanScript.
		if source := string(must(files.ReadFile(f))); strings.Contains(source, "/*") {
			t.Errorf("%s has a comment that is not left out", f)
		}
	}
}
