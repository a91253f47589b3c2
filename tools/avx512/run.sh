#!/usr/bin/env bash
# Runs tests of the CPU kernels on an emulated processor that has AVX-512
# (Bochs, model corei7_skylake_x), so that the variant can be proven where no
# such processor is at hand. It says nothing about speed.
#
#   tools/avx512/run.sh [package...] [test flag...]
#
#   tools/avx512/run.sh                                    all kernels, -test.short
#   tools/avx512/run.sh ./kernels/cpu/internal/asm/gemm    one package
#   tools/avx512/run.sh ./kernels/cpu -test.run=Epilogue   some of its tests
#
# The packages are built as static test binaries, put into the initial file
# system of a Linux kernel with the command in init/ as its first process, and
# run one after the other with -test.v. Given flags replace -test.short and are
# those of a test binary (-test.run, not -run). Skipped, unless -test.skip is
# given, are subtests called portable or avx2, which run on any processor, and
# the test of the garbage collector's pauses, which is about time. Fails when a
# test fails, when the machine stops before its tests are done, or when it is
# without AVX-512.
#
# Bochs 2.7 takes gathers whose index is in Z16 to Z31 for illegal instructions.
# Our kernels have none; the hash of checkpoints does, so that what writes them
# does not run here.
#
# Needs Go and Debian's packages bochs, bochs-term, bochsbios, vgabios, isolinux,
# syslinux-common, xorriso, cpio and a kernel, linux-image-cloud-amd64; a vmlinuz
# that HONE_KERNEL names takes the place of the newest in /boot. HONE_CPU (default
# avx512), HONE_LONG and HONE_TIMEOUT (seconds, default 7200) may be set. One
# emulated core does some 50 million instructions a second, and 2 million
# multiply-adds of vectors.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

missing=()
need() { [ -e "$1" ] || missing+=("$2"); }
need "$(command -v bochs || echo -)" bochs
need /usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so bochs-term
need /usr/share/bochs/BIOS-bochs-latest bochsbios
need /usr/share/bochs/VGABIOS-lgpl-latest vgabios
need /usr/lib/ISOLINUX/isolinux.bin isolinux
need /usr/lib/syslinux/modules/bios/ldlinux.c32 syslinux-common
need "$(command -v xorriso || echo -)" xorriso
need "$(command -v cpio || echo -)" cpio
kernel=${HONE_KERNEL:-$(find /boot -name 'vmlinuz-*' 2>/dev/null | sort -V | tail -n 1)}
need "${kernel:--}" linux-image-cloud-amd64
if [ ${#missing[@]} -gt 0 ]; then
  echo "not installed: ${missing[*]} (apt-get install --no-install-recommends ${missing[*]}; HONE_KERNEL may name a vmlinuz instead)" >&2
  exit 2
fi

packages=()
while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
  packages+=("$1")
  shift
done
[ ${#packages[@]} -gt 0 ] || packages=(./kernels/cpu/internal/asm/... ./kernels/cpu)
[ $# -gt 0 ] || set -- -test.short

dir=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$dir"' EXIT
root=$dir/root
mkdir -p "$root/tests" "$dir/iso"
export CGO_ENABLED=0 GOOS=linux GOARCH=amd64
(cd tools && go build -ldflags="-s -w" -o "$root/init" ./avx512/init)
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' "${packages[@]}"); do
  to=$root/tests/${package#"$PWD/"}
  mkdir -p "$to"
  go test -c -ldflags='-s -w' -o "$to/test" "$package"
  [ ! -d "$package/testdata" ] || cp -r "$package/testdata" "$to/"
done
printf '%s\n' -test.v -test.timeout=0 '-test.skip=TheCollectorStops|/^(portable|avx2)(#|$)' "$@" >"$root/args"
printf '%s\n' "HONE_CPU=${HONE_CPU-avx512}" "HONE_LONG=${HONE_LONG-}" HONE_EMULATOR=bochs PATH=/ >"$root/env"

(cd "$root" && find . | cpio --quiet -o -H newc >"$dir/iso/initrd")
cp "$kernel" "$dir/iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$dir/iso"
# Bochs fails at XSAVES, which its processor promises. It ends when the kernel,
# done or in panic, restarts the machine by a triple fault. The clock is that of ips.
cat >"$dir/iso/isolinux.cfg" <<END
DEFAULT hone
LABEL hone
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND console=ttyS0 loglevel=1 mitigations=off nokaslr tsc=reliable tsc_early_khz=100000 clearcpuid=xsavec,xsaves panic=-1 reboot=triple
END
xorriso -as mkisofs -quiet -o "$dir/disk.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$dir/iso" 2>"$dir/xorriso.log" ||
  { cat "$dir/xorriso.log" >&2; exit 2; }

cat >"$dir/bochsrc" <<END
display_library: term
cpu: model=corei7_skylake_x, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=$dir/disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$dir/serial
speaker: enabled=0
clock: sync=none
log: $dir/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
END
# Debian's Bochs starts in its debugger, which is told to continue. Its screen
# wants the name of a terminal; what matters comes by the serial port.
echo c >"$dir/start"
: >"$dir/serial"
TERM=vt100 timeout "${HONE_TIMEOUT:-7200}" bochs -q -f "$dir/bochsrc" -rc "$dir/start" </dev/null >"$dir/screen" 2>&1 &
machine=$!
tail -f -s 0.5 -n +1 --pid=$machine "$dir/serial" | while IFS= read -r line; do
  line=${line%$'\r'}
  [[ $line != "=== "*": "* ]] || line+=", $SECONDS s after the start"
  echo "$line"
done
case $(tr -d '\r' <"$dir/serial" | grep '^hone: ') in
"hone: all passed") ;;
"hone: "*) exit 1 ;;
*)
  echo "the machine stopped before its tests were done; the end of its log and screen:" >&2
  tail -n 5 "$dir/bochs.log" "$dir/screen" >&2
  exit 1
  ;;
esac
