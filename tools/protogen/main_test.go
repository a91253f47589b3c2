package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheGeneratedCodeIsUpToDate(t *testing.T) {
	if err := run(t.Context(), filepath.FromSlash("../../sdk/honepb"), true); err != nil {
		t.Error(err)
	}
}

func TestCheckNamesMissingStaleAndLeftOverFiles(t *testing.T) {
	dir := t.TempDir()
	src := "syntax = \"proto3\";\npackage acme.v1;\noption go_package = \"example.org/acme\";\nmessage M { int32 a = 1; }\n"
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(text string) {
		t.Helper()
		err := run(t.Context(), dir, true)
		if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
			t.Errorf("check: %v, want %q", err, text)
		}
	}
	write("m.proto", src)
	expect("m.pb.go is stale")
	if err := run(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	expect("")
	write("m.proto", strings.Replace(src, "int32 a", "int64 a", 1))
	expect("m.pb.go is stale")
	write("m.proto", src)
	write("old.pb.go", "package acme\n")
	expect("old.pb.go comes from no .proto file")
}

func TestACompileErrorNamesFileAndLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.proto"), []byte("syntax = \"proto3\";\npackage acme.v1;\nmessage M { int32 a = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), dir, true); err == nil || !strings.Contains(err.Error(), "acme/v1/m.proto:") {
		t.Errorf("%v", err)
	}
}
