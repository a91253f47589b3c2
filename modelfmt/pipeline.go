package modelfmt

import (
	"bufio"
	"fmt"
	"io"
	"sync"
)

// job is one chunk on its way from the caller to the file.
type job struct {
	data   []byte // logical bytes
	pooled bool   // data belongs to the pipeline and is reused
	dtype  DType
	xor    func(dst []byte) error // fetches the base's bytes; nil without a base
	ref    *chunkRef              // filled in when the record is written
	record []byte
	err    error
	ready  chan struct{} // closed when record and ref.digest are set
}

// pipeline encodes chunks on several goroutines and writes them in the order in
// which they came, so that the file's bytes do not depend on the workers.
//
// At most twice as many chunks as workers wait their turn, each with its logical
// bytes and its record, and each worker has scratch of about four chunks. So a
// worker costs about eight chunks of memory, whatever the tensors' sizes.
type pipeline struct {
	out    *bufio.Writer
	offset int64
	chunk  int64
	jobs   chan *job
	order  chan *job
	done   chan struct{}
	wg     sync.WaitGroup
	bufs   chan []byte // of chunk capacity, to be used again

	mu  sync.Mutex
	err error
}

func newPipeline(out io.Writer, chunk int64, workers int) (*pipeline, error) {
	p := &pipeline{
		out:   bufio.NewWriterSize(out, 256<<10),
		chunk: chunk,
		jobs:  make(chan *job, workers),
		order: make(chan *job, 2*workers),
		done:  make(chan struct{}),
		bufs:  make(chan []byte, 6*workers),
	}
	for range workers {
		enc, err := newChunkEncoder()
		if err != nil {
			close(p.jobs)
			return nil, err
		}
		p.wg.Go(func() { p.encode(enc) })
	}
	go p.write()
	return p, nil
}

func (p *pipeline) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
}

func (p *pipeline) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pipeline) buffer() []byte {
	select {
	case b := <-p.bufs:
		return b
	default:
		return make([]byte, 0, int(maxStored(int(p.chunk))))
	}
}

func (p *pipeline) recycle(b []byte) {
	select {
	case p.bufs <- b[:0]:
	default:
	}
}

// submit hands a job over. The caller waits on j.ready before it touches data
// that is not pooled.
func (p *pipeline) submit(j *job) {
	j.ready = make(chan struct{})
	p.order <- j
	p.jobs <- j
}

func (p *pipeline) encode(enc *chunkEncoder) {
	defer enc.close()
	for j := range p.jobs {
		if p.failed() == nil {
			j.ref.digest = Digest(enc.hash.Sum(j.data))
			var base []byte
			if j.xor != nil {
				base = p.buffer()[:len(j.data)]
				j.err = j.xor(base)
			}
			if j.err == nil {
				j.record = enc.encode(p.buffer(), j.data, j.dtype, base)
			}
			if base != nil {
				p.recycle(base)
			}
		}
		if j.pooled {
			p.recycle(j.data)
		}
		j.data = nil
		close(j.ready)
	}
}

func (p *pipeline) write() {
	defer close(p.done)
	for j := range p.order {
		<-j.ready
		if j.err != nil {
			p.fail(j.err)
		}
		if p.failed() == nil {
			j.ref.offset, j.ref.stored, j.ref.crc = p.offset, uint32(len(j.record)), checksum(j.record)
			p.put(j.record)
		}
		if j.record != nil {
			p.recycle(j.record)
		}
	}
}

// put writes bytes; write's goroutine alone calls it until finish returned.
func (p *pipeline) put(b []byte) {
	if _, err := p.out.Write(b); err != nil {
		p.fail(fmt.Errorf("write at byte %d: %w", p.offset, err))
		return
	}
	p.offset += int64(len(b))
}

// finish waits until every submitted chunk is written, and stops the workers.
func (p *pipeline) finish() error {
	close(p.jobs)
	close(p.order)
	p.wg.Wait()
	<-p.done
	return p.failed()
}
