// Protogen compiles the protocol's .proto files and writes the Go code beside
// them, with no protoc to install: the compiler is protocompile, the code
// generators are the official plugins, pinned as tools of this module.
//
//	go run -C tools ./protogen -dir ../sdk/honepb          write *.pb.go
//	go run -C tools ./protogen -dir ../sdk/honepb -check   fail where one is stale
//
// A file in package hone.graph.v1 is known to the compiler, and to the
// registry of descriptors at run time, as hone/graph/v1/NAME.proto wherever it
// lies below the folder; that is how files import each other.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	dir := flag.String("dir", ".", "folder that holds the .proto files, at any depth")
	check := flag.Bool("check", false, "write nothing; fail where a generated file is missing, stale or left over")
	flag.Parse()
	if err := run(context.Background(), *dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// source is one .proto file.
type source struct {
	name   string // as the compiler knows it: hone/graph/v1/graph.proto
	folder string // relative to the root folder, slash-separated
	data   []byte
}

func run(ctx context.Context, dir string, check bool) error {
	sources, err := findSources(dir)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("no .proto file below %s", dir)
	}
	files, err := compile(ctx, sources)
	if err != nil {
		return err
	}
	want := map[string][]byte{} // path below dir -> contents
	for _, s := range sources {
		fd := files[s.name]
		if err := generate(ctx, "protoc-gen-go", s, fd, want); err != nil {
			return err
		}
		if fd.Services().Len() > 0 {
			if err := generate(ctx, "protoc-gen-go-grpc", s, fd, want); err != nil {
				return err
			}
		}
	}
	if check {
		return compare(dir, want)
	}
	for name, data := range want {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var packageLine = regexp.MustCompile(`(?m)^package\s+([a-z0-9_.]+)\s*;`)

func findSources(dir string) ([]source, error) {
	var out []source
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".proto") {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		m := packageLine.FindSubmatch(data)
		if m == nil {
			return fmt.Errorf("%s has no package line", p)
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, source{
			name:   strings.ReplaceAll(string(m[1]), ".", "/") + "/" + path.Base(rel),
			folder: path.Dir(rel),
			data:   data,
		})
		return nil
	})
	slices.SortFunc(out, func(a, b source) int { return strings.Compare(a.name, b.name) })
	return out, err
}

func compile(ctx context.Context, sources []source) (map[string]protoreflect.FileDescriptor, error) {
	byName := map[string]string{}
	names := make([]string, len(sources))
	for i, s := range sources {
		byName[s.name], names[i] = string(s.data), s.name
	}
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(byName),
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	linked, err := c.Compile(ctx, names...)
	if err != nil {
		return nil, err
	}
	out := map[string]protoreflect.FileDescriptor{}
	for _, f := range linked {
		out[f.Path()] = f
	}
	return out, nil
}

// generate runs one code generator over one file and adds what it writes.
func generate(ctx context.Context, tool string, s source, fd protoreflect.FileDescriptor, want map[string][]byte) error {
	req := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{s.name},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      closure(fd),
	}
	in, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", tool)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s on %s: %w", tool, s.name, err)
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out.Bytes(), &resp); err != nil {
		return fmt.Errorf("%s on %s: %w", tool, s.name, err)
	}
	if resp.Error != nil {
		return fmt.Errorf("%s on %s: %s", tool, s.name, resp.GetError())
	}
	for _, f := range resp.File {
		want[path.Join(s.folder, path.Base(f.GetName()))] = []byte(f.GetContent())
	}
	return nil
}

// closure lists a file and all that it imports, imports first.
func closure(fd protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	var out []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var visit func(protoreflect.FileDescriptor)
	visit = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			visit(f.Imports().Get(i).FileDescriptor)
		}
		p := protoutil.ProtoFromFileDescriptor(f)
		if p == nil {
			p = protodesc.ToFileDescriptorProto(f)
		}
		out = append(out, p)
	}
	visit(fd)
	return out
}

// compare reports every generated file that is not what it would be now.
func compare(dir string, want map[string][]byte) error {
	var errs []error
	for name, data := range want {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !bytes.Equal(got, data) {
			errs = append(errs, fmt.Errorf("%s is stale; go generate ./sdk/honepb/... writes it anew", name))
		}
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".pb.go") {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if _, ok := want[filepath.ToSlash(rel)]; !ok {
			errs = append(errs, fmt.Errorf("%s comes from no .proto file; delete it", rel))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(errs...)
}
