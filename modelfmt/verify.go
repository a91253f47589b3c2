package modelfmt

import "context"

// Progress is told how many of total bytes are done. It is called from several
// goroutines, one at a time, with a count that never falls. nil is allowed.
type Progress func(done, total int64)

// Verify checks every stored byte against its checksum. [Open] has checked
// header, manifest, index and footer already. It needs no base.
func (r *Reader) Verify(ctx context.Context, progress Progress) error {
	return r.eachChunk(ctx, progress, false, func(e *entry, i int) error {
		b, err := r.readRecord(e, i)
		if err != nil {
			return err
		}
		r.recycle(b)
		return nil
	})
}

// VerifyDeep decodes every chunk, and checks its logical bytes against the BLAKE3
// digests under the root. A delta checkpoint needs its base for it.
func (r *Reader) VerifyDeep(ctx context.Context, progress Progress) error {
	return r.eachChunk(ctx, progress, true, func(e *entry, i int) error {
		b := r.buffer(e.chunkLen(i, r.index.chunkSize()))
		defer r.recycle(b)
		if err := r.readChunk(e, i, *b); err != nil {
			return err
		}
		d, err := r.decoder()
		if err != nil {
			return err
		}
		defer r.decoders.Put(d)
		if Digest(d.hash.Sum(*b)) != e.chunks[i].digest {
			return r.corrupt(e, i, "BLAKE3 digest of a chunk does not match", nil)
		}
		return nil
	})
}

// eachChunk calls f for every chunk of the file, in parallel. Progress counts
// logical bytes when logical is set, and stored bytes otherwise.
func (r *Reader) eachChunk(ctx context.Context, progress Progress, logical bool, f func(*entry, int) error) error {
	type place struct {
		e *entry
		i int
	}
	var all []place
	var total int64
	weight := func(p place) int64 {
		if logical {
			return int64(p.e.chunkLen(p.i, r.index.chunkSize()))
		}
		return int64(p.e.chunks[p.i].stored)
	}
	for _, e := range r.index.entries {
		for i := range e.chunks {
			all = append(all, place{e, i})
			total += weight(place{e, i})
		}
	}
	tell := newMeter(progress, total)
	return forEach(0, int64(len(all)), r.opts.Workers, func(k int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(all[k].e, all[k].i); err != nil {
			return err
		}
		tell.add(weight(all[k]))
		return nil
	})
}
