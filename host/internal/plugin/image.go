package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

// maxImage bounds a plugin's binary.
const maxImage = 2 << 30

// image is a plugin's binary as it is executed: a copy that nobody can change
// after it was hashed.
type image struct {
	path    string // to execute
	digest  [sha256.Size]byte
	release func()
}

func (i *image) close() { i.release() }

// loadImage copies and hashes the binary, and compares it with its pin.
func loadImage(s Source) (*image, error) {
	if s.Path == "" {
		return nil, diag.Errorf("plugin_missing", "the plugin %q is not installed", s.Name).
			Hint("Run: hone plugin install %s", s.Name)
	}
	f, err := os.Open(s.Path)
	if err != nil {
		d := diag.Errorf("plugin_missing", "the plugin %q cannot be opened: %w", s.Name, err)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, d.Hint("There is no such file. Build or install the plugin, or correct its path.")
		}
		return nil, d.Hint("Check the file's permissions.")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the plugin %s: %w", s.Name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxImage || info.Size() == 0 {
		return nil, diag.Errorf("plugin_missing", "the plugin %q at %s is no program", s.Name, s.Path).
			Hint("Give the path of the plugin's binary, a file of at most %d MiB.", maxImage>>20)
	}
	img, err := sealedImage(s.Name, f)
	if err != nil {
		return nil, err
	}
	if want := strings.TrimPrefix(strings.ToLower(s.SHA256), "sha256:"); want != "" && want != hex.EncodeToString(img.digest[:]) {
		img.close()
		return nil, diag.Errorf("plugin_digest", "the plugin %q at %s is not the one that is pinned", s.Name, s.Path).
			Hint("Its SHA-256 is %x, the pin is %s. If you changed it on purpose, update the pin; otherwise do not run it.", img.digest, want)
	}
	return img, nil
}

// privateImage copies the binary into a folder that only this user can enter.
func privateImage(name string, f io.Reader) (*image, error) {
	dir, err := os.MkdirTemp("", "hone-plugin")
	if err != nil {
		return nil, fmt.Errorf("making a private folder for the plugin %s: %w", name, err)
	}
	img := &image{path: filepath.Join(dir, "plugin"+exeSuffix), release: func() { _ = os.RemoveAll(dir) }}
	out, err := os.OpenFile(img.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err == nil {
		img.digest, err = copyHashed(out, f)
		if e := out.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		img.close()
		return nil, fmt.Errorf("copying the plugin %s: %w", name, err)
	}
	return img, nil
}

func copyHashed(w io.Writer, r io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(r, maxImage+1))
	if err == nil && n > maxImage {
		err = fmt.Errorf("it is larger than %d MiB", maxImage>>20)
	}
	copy(sum[:], h.Sum(nil))
	return sum, err
}
