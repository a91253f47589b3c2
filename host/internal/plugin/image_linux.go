package plugin

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const exeSuffix = ""

// sealedImage copies the binary into memory, hashes and seals it, and executes
// it from there. Where the system forbids that, it falls back to a private copy;
// so it does for a script, whose interpreter opens it by its path, at which it sees
// nothing of this process's memory.
func sealedImage(name string, f io.ReadSeeker) (*image, error) {
	var head [2]byte
	if n, _ := io.ReadFull(f, head[:]); string(head[:n]) == "#!" {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading the plugin %s: %w", name, err)
		}
		return privateImage(name, f)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the plugin %s: %w", name, err)
	}
	fd, err := unix.MemfdCreate("hone-plugin-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // kernels before 6.3 know no MFD_EXEC
		fd, err = unix.MemfdCreate("hone-plugin-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return privateImage(name, f)
	}
	mem := os.NewFile(uintptr(fd), "hone-plugin-"+name)
	img := &image{path: fmt.Sprintf("/proc/self/fd/%d", fd), release: func() { _ = mem.Close() }}
	if img.digest, err = copyHashed(mem, f); err != nil {
		img.close()
		return nil, fmt.Errorf("copying the plugin %s: %w", name, err)
	}
	seals := unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	if err == nil {
		err = unix.Access(img.path, unix.X_OK)
	}
	if err != nil {
		img.close()
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading the plugin %s: %w", name, err)
		}
		return privateImage(name, f)
	}
	return img, nil
}

// selfPath is the binary that runs, even if the file was replaced since.
func selfPath() (string, error) { return "/proc/self/exe", nil }
