"""An independent reader of hone checkpoints, written from SPEC.md.

  reader.py [--base FILE]... FILE   checks everything and prints, as JSON, the
                                    manifest and the SHA-256 of every tensor and blob

It needs the package zstandard, and takes the package blake3 where it is. It is written to be compared with the text of
the specification, and is slow.
"""

import hashlib
import json
import struct
import sys

import zstandard

try:  # only to spare minutes on large chunks; short inputs never use it
    import blake3 as blake3_library
except ImportError:
    blake3_library = None

TYPES = {1: ("f64", 8), 2: ("f32", 4), 3: ("bf16", 2), 4: ("f16", 2), 5: ("i64", 8), 6: ("i32", 4),
         7: ("i8", 1), 8: ("u64", 8), 9: ("u32", 4), 10: ("u8", 1), 11: ("bool", 1)}
FLOATS = {1, 2, 3, 4}
KNOWN_REQUIRED = 1


class Damaged(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damaged(what)


def make_crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC = make_crc_table()


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = c >> 8 ^ CRC[(c ^ b) & 255]
    return c ^ 0xFFFFFFFF


# BLAKE3, from section 2 of its paper.

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
M32 = 0xFFFFFFFF


def compress(cv, block, counter, length, flags):
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = list(cv) + list(IV[:4]) + [counter & M32, counter >> 32, length, flags]

    def g(a, b, c, d, x, y):
        for add, r1, r2 in ((x, 16, 12), (y, 8, 7)):
            v[a] = v[a] + v[b] + add & M32
            t = v[d] ^ v[a]
            v[d] = (t >> r1 | t << 32 - r1) & M32
            v[c] = v[c] + v[d] & M32
            t = v[b] ^ v[c]
            v[b] = (t >> r2 | t << 32 - r2) & M32

    for _ in range(7):
        for i in range(4):
            g(i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1])
        for i in range(4):
            g(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i])
        m = [m[p] for p in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    """Returns 32 bytes: the chaining value of the root."""
    if blake3_library and len(data) > 1 << 16:
        return blake3_library.blake3(data).digest()

    def tree(part, counter, root):
        if len(part) <= 1024:
            cv = IV
            blocks = [part[i:i + 64] for i in range(0, len(part), 64)] or [b""]
            for i, block in enumerate(blocks):
                flags = CHUNK_START * (i == 0) | (CHUNK_END | root) * (i == len(blocks) - 1)
                cv = compress(cv, block, counter, len(block), flags)
            return cv
        left = 1024
        while left * 2 < len(part):
            left *= 2
        pair = tree(part[:left], counter, 0) + tree(part[left:], counter + left // 1024, 0)
        return compress(IV, struct.pack("<16I", *pair), 0, 64, PARENT | root)

    return struct.pack("<8I", *tree(bytes(data), 0, ROOT))


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "ends early")
        self.at += n
        return self.data[self.at - n:self.at]

    def byte(self):
        return self.take(1)[0]

    def uvarint(self):
        value = shift = 0
        while True:
            b = self.byte()
            need(shift < 63 or shift == 63 and b <= 1, "uvarint above 64 bits")
            value |= (b & 127) << shift
            if b < 128:
                need(b or not shift, "uvarint not in its shortest form")
                return value
            shift += 7

    def text(self, most):
        n = self.uvarint()
        need(n <= most, "text too long")
        s = self.take(n).decode("utf-8")
        need(not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in s), "control character")
        return s

    def done(self):
        return self.at == len(self.data)


# Huffman blocks, from RFC 8878, sections 4.1 and 4.2.

class BackwardBits:
    """Reads bits from the end of a stream, whose last set bit marks the end."""

    def __init__(self, data):
        need(data and data[-1], "bit stream without end mark")
        self.value = int.from_bytes(data, "little")
        self.left = self.value.bit_length() - 1

    def read(self, n):
        """Bits before the start of the stream read as 0; left becomes negative."""
        self.left -= n
        if self.left >= 0:
            return self.value >> self.left & (1 << n) - 1
        return self.value << -self.left & (1 << n) - 1


def fse_table(data):
    """Returns the decoding table, its accuracy, and the bytes used."""
    value, at = int.from_bytes(data, "little"), 4
    accuracy = (value & 15) + 5
    need(accuracy <= 6, "FSE accuracy of weights above 6")
    remaining, counts = 1 << accuracy, []
    while remaining > 0:
        bits = (remaining + 1).bit_length()
        v = value >> at & (1 << bits) - 1
        low = v & (1 << bits - 1) - 1
        threshold = (1 << bits) - 1 - (remaining + 1)
        if low < threshold:
            v, at = low, at + bits - 1
        else:
            at += bits
            if v >= 1 << bits - 1:
                v -= threshold
        count = v - 1
        remaining -= abs(count)
        counts.append(count)
        if count == 0:
            while True:
                repeat = value >> at & 3
                at += 2
                counts.extend([0] * repeat)
                if repeat < 3:
                    break
    need(remaining == 0 and (at + 7) // 8 <= len(data), "bad FSE table")
    size = 1 << accuracy
    symbols, high = [None] * size, size - 1
    for s, c in enumerate(counts):
        if c == -1:
            symbols[high] = s
            high -= 1
    place, step = 0, (size >> 1) + (size >> 3) + 3
    for s, c in enumerate(counts):
        for _ in range(max(c, 0)):
            symbols[place] = s
            place = place + step & size - 1
            while place > high:
                place = place + step & size - 1
    need(place == 0, "bad FSE table")
    following = [1 if c == -1 else c for c in counts]
    table = []
    for s in symbols:
        x = following[s]
        following[s] += 1
        bits = accuracy - (x.bit_length() - 1)
        table.append((s, bits, (x << bits) - size))
    return table, accuracy, (at + 7) // 8


def fse_weights(data):
    table, accuracy, used = fse_table(data)
    bits = BackwardBits(data[used:])
    states = [bits.read(accuracy), bits.read(accuracy)]
    need(bits.left >= 0, "FSE stream too short")
    weights, turn = [], 0
    while True:
        need(len(weights) <= 255, "too many weights")
        symbol, n, base = table[states[turn]]
        weights.append(symbol)
        if n > bits.left:
            weights.append(table[states[1 - turn]][0])
            return weights
        states[turn] = base + bits.read(n)
        turn = 1 - turn


def huffman_tree(data):
    """Returns {(bits, code): symbol}, the longest code, and the bytes used."""
    head = data[0]
    if head >= 128:
        count = head - 127
        used = 1 + (count + 1) // 2
        nibbles = [x for b in data[1:used] for x in (b >> 4, b & 15)]
        weights = nibbles[:count]
    else:
        used = 1 + head
        need(used <= len(data), "Huffman tree ends early")
        weights = fse_weights(data[1:used])
    total = sum(1 << w - 1 for w in weights if w)
    need(total > 0, "empty Huffman tree")
    longest = total.bit_length()
    rest = (1 << longest) - total
    need(rest & rest - 1 == 0 and longest <= 11, "bad Huffman weights")
    weights.append(rest.bit_length())
    need(len(weights) <= 256, "too many weights")
    codes, code = {}, 0
    for w in range(1, longest + 1):
        bits = longest + 1 - w
        for symbol, sw in enumerate(weights):
            if sw == w:
                codes[bits, code >> w - 1] = symbol
                code += 1 << w - 1
    need(code == 1 << longest, "Huffman tree is not complete")
    return codes, longest, used


def huffman_literals(data, size):
    codes, longest, used = huffman_tree(data)
    data = data[used:]
    need(len(data) >= 6, "jump table is missing")
    sizes = struct.unpack("<3H", data[:6])
    at, out, each = 6, bytearray(), (size + 3) // 4
    for i in range(4):
        end = at + sizes[i] if i < 3 else len(data)
        need(end <= len(data), "jump table is wrong")
        want = each if i < 3 else size - 3 * each
        bits = BackwardBits(data[at:end])
        at = end
        for _ in range(want):
            code = 0
            for n in range(1, longest + 1):
                code = code << 1 | bits.read(1)
                if (n, code) in codes:
                    out.append(codes[n, code])
                    break
            else:
                raise Damaged("no such Huffman code")
        need(bits.left == 0, "Huffman stream is not used up")
    return bytes(out)


def unzstd(frame, size, window=1 << 24):
    out = zstandard.ZstdDecompressor(max_window_size=window).decompressobj().decompress(frame)
    need(len(out) == size, "zstd frame of another length")
    return out


def stream(cursor, size, inside_blocks=False):
    codec = cursor.byte()
    body = cursor.take(cursor.uvarint())
    if codec == 0:
        need(len(body) == size, "raw stream of another length")
        return body
    if codec == 1:
        need(len(body) == 1, "constant of more than a byte")
        return body * size
    if codec == 4 and inside_blocks:
        return huffman_literals(body, size)
    need(not inside_blocks, "unknown block codec %d" % codec)
    if codec == 2:
        blocks, out = Cursor(body), b""
        while len(out) < size:
            out += stream(blocks, min(131072, size - len(out)), True)
        need(blocks.done(), "bytes after the last block")
        return out
    if codec == 3:
        return unzstd(body, size)
    raise Damaged("unknown stream codec %d" % codec)


def planes(cursor, count, code):
    width = TYPES[code][1]
    parts = [stream(cursor, count) for _ in range(width)]
    out = bytearray(count * width)
    for i in range(count):
        v = sum(parts[k][i] << 8 * k for k in range(width))
        if code in FLOATS:
            v = v >> 1 | (v & 1) << 8 * width - 1
        out[i * width:(i + 1) * width] = v.to_bytes(width, "little")
    return bytes(out)


def chunk(record, size, code):
    """Returns the bytes and whether they are a difference."""
    cursor, width = Cursor(record), TYPES[code][1]
    head = cursor.byte()
    transform, count = head & 127, size // width
    if transform == 0:
        out = stream(cursor, size)
    elif transform == 1:
        need(width > 1, "split elements of one byte")
        out = planes(cursor, count, code)
    elif transform == 2:
        bitmap = stream(cursor, (count + 7) // 8)
        marked = [i for i in range(8 * len(bitmap)) if bitmap[i // 8] >> i % 8 & 1]
        need(not marked or marked[-1] < count, "bitmap marks past the end")
        packed = b""
        if marked:
            packed = stream(cursor, len(marked)) if width == 1 else planes(cursor, len(marked), code)
        out = bytearray(size)
        for k, i in enumerate(marked):
            out[i * width:(i + 1) * width] = packed[k * width:(k + 1) * width]
        out = bytes(out)
    else:
        raise Damaged("unknown transform %d" % transform)
    need(cursor.done(), "bytes after the last stream")
    return out, head >> 7 == 1


def unique(pairs):
    out = {}
    for k, v in pairs:
        need(k not in out, "key %r appears twice" % k)
        out[k] = v
    return out


class Checkpoint:
    def __init__(self, path, bases=()):
        with open(path, "rb") as f:
            self.data = f.read()
        self.bases = bases
        data = self.data
        need(len(data) >= 144, "too short")
        need(data[:8] == b"\x89HONE\r\n\x1a", "not a hone checkpoint")
        version, zero, crc = struct.unpack("<HHI", data[8:16])
        need(crc32c(data[:12]) == crc, "header checksum")
        need(version == 0 and zero == 0, "header version")
        foot = data[-128:]
        need(foot[:8] == b"HONEfoot" and foot[124:] == b"END\n", "no footer")
        need(crc32c(foot[:120]) == struct.unpack("<I", foot[120:124])[0], "footer checksum")
        (version, zero, self.required, self.optional, m_at, m_len, m_crc, i_crc, i_at, i_stored, i_raw, length
         ) = struct.unpack("<IIQQQQIIQQQQ", foot[8:88])
        need(version == 0 and zero == 0 and not self.required & ~KNOWN_REQUIRED, "unknown feature or version")
        need(length == len(data) and m_at >= 16 and m_at + m_len == i_at and i_at + i_stored <= length - 128, "layout")
        manifest, stored = data[m_at:i_at], data[i_at:i_at + i_stored]
        need(crc32c(manifest) == m_crc and crc32c(stored) == i_crc, "checksum of manifest or index")
        need(i_stored <= i_raw, "index layout")
        index = stored if i_stored == i_raw else unzstd(stored, i_raw)
        self.manifest = json.loads(manifest.decode("utf-8"), object_pairs_hook=unique)
        need(isinstance(self.manifest, dict), "manifest is no object")
        self.parse(Cursor(index), m_at)
        self.root = foot[88:120]
        need(blake3(b"hone checkpoint root v0\n" + blake3(manifest) + index[:self.logical]) == self.root, "root")
        self.walk_extensions(Cursor(data[i_at + i_stored:-128]))

    def parse(self, c, data_end):
        log2 = c.byte()
        need(12 <= log2 <= 24, "chunk size")
        self.chunk_size = 1 << log2
        self.entries = {}
        for _ in range(c.uvarint()):
            kind = c.byte()
            need(kind <= 1, "entry kind")
            name = c.text(1024)
            code = c.byte()
            need(name and code in TYPES, "entry")
            rank = c.uvarint()
            need(rank <= 32, "rank")
            shape = [c.uvarint() for _ in range(rank)]
            role, encoding = c.text(64), c.text(256)
            need(kind == 0 or code == 10 and len(shape) == 1, "blob")
            size = TYPES[code][1]
            for d in shape:
                size *= d
            count = -(-size // self.chunk_size)
            digests = [c.take(32) for _ in range(count)]
            need((kind, name) not in self.entries, "name appears twice")
            self.entries[kind, name] = dict(kind=kind, name=name, code=code, shape=shape, role=role,
                                            encoding=encoding, size=size, digests=digests, records=[])
        self.logical = c.at
        mark = c.byte()
        need(mark <= 1 and mark == self.required & 1, "mark of a base")
        self.base_root = c.take(32) if mark else None
        at = 16
        for e in self.entries.values():
            for _ in e["digests"]:
                length = c.uvarint()
                e["records"].append((at, length, struct.unpack("<I", c.take(4))[0]))
                at += length
        need(c.done() and at == data_end, "index does not tile the file")

    def walk_extensions(self, c):
        self.ignored = ["optional feature %d" % i for i in range(64) if self.optional >> i & 1]
        while not c.done():
            head = c.take(8)
            kind, length = struct.unpack("<II", head)
            crc = struct.unpack("<I", c.take(4))[0]
            need(crc32c(head + c.take(length)) == crc, "extension checksum")
            self.ignored.append("extension %d" % kind)

    def base(self):
        need(self.base_root is not None, "difference without a base")
        for path in self.bases:
            b = Checkpoint(path, self.bases)
            if b.root == self.base_root:
                return b
        raise Damaged("the base %s is not given" % self.base_root.hex())

    def read_chunk(self, e, i):
        at, length, crc = e["records"][i]
        record = self.data[at:at + length]
        need(crc32c(record) == crc, "record checksum")
        size = min(self.chunk_size, e["size"] - i * self.chunk_size)
        out, difference = chunk(record, size, e["code"])
        if difference:
            b = self.base()
            other = b.entries.get((e["kind"], e["name"]))
            need(other and other["code"] == e["code"] and other["shape"] == e["shape"]
                 and b.chunk_size == self.chunk_size, "the base has no such entry")
            out = bytes(x ^ y for x, y in zip(out, b.read_chunk(other, i)))
        need(blake3(out) == e["digests"][i], "chunk digest")
        return out

    def read(self, e):
        return b"".join(self.read_chunk(e, i) for i in range(len(e["records"])))

    def describe(self):
        out = {"root": self.root.hex(), "manifest": self.manifest, "ignored": self.ignored, "tensors": [], "blobs": []}
        for e in self.entries.values():
            d = {"name": e["name"], "sha256": hashlib.sha256(self.read(e)).hexdigest()}
            if e["kind"] == 0:
                d.update(dtype=TYPES[e["code"]][0], shape=e["shape"], role=e["role"], encoding=e["encoding"])
            out["blobs" if e["kind"] else "tensors"].append(d)
        return out


def main(args):
    bases = []
    while args[0] == "--base":
        bases.append(args[1])
        args = args[2:]
    for path in args:
        json.dump(Checkpoint(path, bases).describe(), sys.stdout, sort_keys=True)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
