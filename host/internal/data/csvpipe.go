package data

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/hone-ml/hone/host/internal/diag"
)

// csvPipe reads a file in three stages: one goroutine decompresses and cuts at record ends,
// several parse, and next gives the results in the file's order.
type csvPipe struct {
	format *csvFormat
	stream *stream
	digest string // set when next has returned io.EOF

	ctx    context.Context
	cancel context.CancelFunc
	order  chan *csvJob // in the file's order, as many as may be under way
	work   chan *csvJob
	free   chan []byte // memory of parsed blocks
	wait   sync.WaitGroup

	mu    sync.Mutex
	kinds []kind // the widest seen so far, where parsers begin
}

type csvJob struct {
	block *csvBlock
	err   error // of the splitter; io.EOF at the end
	part  chan csvResult
}

type csvResult struct {
	part *csvPart
	err  error
}

// start opens the file, reads its header, and begins to parse. forced are kinds
// that the kept columns are known to have.
func (f *csvFormat) start(ctx context.Context, forced []kind) (*csvPipe, error) {
	s, err := openStream(f.in)
	if err != nil {
		return nil, err
	}
	p := &csvPipe{format: f, stream: s}
	splitter := &csvSplitter{format: f, r: s, line: 1}
	first, err := p.first(splitter)
	if err != nil {
		s.Close()
		return nil, err
	}
	p.kinds = slices.Clone(forced)
	if forced == nil {
		p.kinds = make([]kind, len(f.kept))
	}
	for i, column := range f.kept {
		if t := f.declared[column]; t != Invalid {
			p.kinds[i] = kindOf(t)
		}
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.order = make(chan *csvJob, 2*f.threads)
	p.work = make(chan *csvJob, 2*f.threads)
	p.free = make(chan []byte, 2*f.threads+2)
	p.wait.Add(1 + f.threads)
	go p.split(splitter, first)
	for range f.threads {
		go p.parse()
	}
	return p, nil
}

// first reads the first block and the names in it.
func (p *csvPipe) first(s *csvSplitter) (*csvBlock, error) {
	f := p.format
	b, err := s.next(nil)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if b == nil {
		b = &csvBlock{line: 1}
	}
	if rest, ok := bytes.CutPrefix(b.data, []byte("\xef\xbb\xbf")); ok { // a byte order mark
		b.data = rest
		b.offset += 3
	}
	if bytes.HasPrefix(b.data, []byte("\xff\xfe")) || bytes.HasPrefix(b.data, []byte("\xfe\xff")) {
		return nil, diag.Errorf("csv_encoding", "%s is in UTF-16", f.in.label()).At(diag.Range{File: f.in.label(), Start: diag.Pos{Line: 1, Column: 1}}).
			Hint("Convert it, for instance: iconv -f UTF-16 -t UTF-8")
	}
	parser := newCSVParser(f)
	if err := parser.check(b); err != nil {
		return nil, err
	}
	names, at, next, err := parser.header()
	if err != nil {
		return nil, err
	}
	hasHeader := f.opt.Columns == nil || f.opt.Header
	if hasHeader && names == nil {
		return nil, diag.Errorf("csv_empty", "%s is empty", f.in.label()).At(diag.Range{File: f.in.label()}).
			Hint("A CSV file begins with a line of column names, unless they are given as columns = [...].")
	}
	if f.names == nil {
		given := names
		if f.opt.Columns != nil {
			given = f.opt.Columns
			if !f.opt.Header && slices.Equal(names, f.opt.Columns) {
				return nil, diag.Errorf("csv_header", "the first line of %s repeats the column names", f.in.label()).At(at).
					Hint("Add header = true, so that it is not read as data, or leave columns out.")
			}
		}
		if err := f.setNames(given, at); err != nil {
			return nil, err
		}
	}
	if hasHeader {
		skipped := bytes.Count(b.data[:next], newline)
		b.data, b.offset = b.data[next:], b.offset+int64(next)
		b.line += skipped
		b.newlines -= skipped
	}
	return b, nil
}

// split is the first stage.
func (p *csvPipe) split(s *csvSplitter, first *csvBlock) {
	defer p.wait.Done()
	defer close(p.work)
	defer close(p.order)
	send := func(j *csvJob) bool {
		j.part = make(chan csvResult, 1)
		select {
		case p.order <- j:
		case <-p.ctx.Done():
			return false
		}
		if j.err != nil {
			return false
		}
		select {
		case p.work <- j:
			return true
		case <-p.ctx.Done():
			return false
		}
	}
	if !send(&csvJob{block: first}) {
		return
	}
	for {
		var buf []byte
		select {
		case buf = <-p.free:
		default:
		}
		b, err := s.next(buf)
		if !send(&csvJob{block: b, err: err}) {
			return
		}
	}
}

// parse is the second stage.
func (p *csvPipe) parse() {
	defer p.wait.Done()
	parser := newCSVParser(p.format)
	for j := range p.work {
		part, err := p.parseBlock(parser, j.block)
		j.part <- csvResult{part, err}
		select {
		case p.free <- j.block.data[:0]:
		default:
		}
	}
}

func (p *csvPipe) parseBlock(parser *csvParser, b *csvBlock) (*csvPart, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	if err := parser.check(b); err != nil {
		return nil, err
	}
	p.mu.Lock()
	kinds := slices.Clone(p.kinds)
	p.mu.Unlock()
	part, wider, err := parser.parse(b, kinds)
	if err != nil {
		return nil, err
	}
	if wider == nil {
		return part, nil
	}
	p.mu.Lock()
	for i, k := range wider {
		p.kinds[i] = p.kinds[i].join(k)
	}
	p.mu.Unlock()
	part, wider, err = parser.parse(b, wider)
	if err == nil && wider != nil {
		err = errors.New("data: a block of CSV was of two minds about its types")
	}
	return part, err
}

// next returns the next block's values, then io.EOF.
func (p *csvPipe) next() (*csvPart, error) {
	select {
	case j, ok := <-p.order:
		if !ok {
			if err := p.ctx.Err(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}
		if errors.Is(j.err, io.EOF) {
			p.digest = p.stream.digest()
			return nil, io.EOF
		}
		if j.err != nil {
			return nil, j.err
		}
		select {
		case r := <-j.part:
			return r.part, r.err
		case <-p.ctx.Done():
			return nil, p.ctx.Err()
		}
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
}

// close stops the stages and waits for them.
func (p *csvPipe) close() {
	p.cancel()
	p.wait.Wait()
	p.stream.Close()
}
