package diag

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	defaultWidth    = 100
	minWidth        = 40
	maxExcerptLines = 8
	tabWidth        = 4
)

// Write draws the diagnostics for a person, each in a frame with the line of
// the user's file that it speaks of:
//
//	╭─ error[unknown_layer]: There is no layer "dens"
//	│  digits.hone.hcl:12:9 (model.mlp.layer.hidden)
//	│
//	│  12 │   layer "dens" "hidden" {
//	│     │         ━━━━━━
//	│
//	│  Did you mean "dense"? The command `hone plugin list` shows what there is.
//	╰─
//
// sources maps file names, as in Range.File, to contents; without a file's text only its
// place is named. Details are wrapped at width columns (0 means 100). Control characters in
// anything shown are made visible, so that no file or plugin can send escapes to the terminal.
func Write(w io.Writer, diags Diagnostics, sources map[string][]byte, width int, color bool) error {
	if width <= 0 {
		width = defaultWidth
	}
	p := &printer{w: bufio.NewWriter(w), width: max(width, minWidth), color: color}
	for _, d := range diags {
		p.diagnostic(d, sources)
	}
	return p.w.Flush()
}

type printer struct {
	w     *bufio.Writer // keeps the first error until Flush
	width int
	color bool
	paint string // escape of the current diagnostic's severity
}

const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

func (p *printer) styled(style, text string) string {
	if !p.color || text == "" {
		return text
	}
	return style + text + reset
}

// line writes one line inside the frame.
func (p *printer) line(text string) {
	bar := p.styled(p.paint, "│")
	if text == "" {
		fmt.Fprintln(p.w, bar)
		return
	}
	fmt.Fprintf(p.w, "%s  %s\n", bar, text)
}

func (p *printer) diagnostic(d Diagnostic, sources map[string][]byte) {
	p.paint = red
	if d.Severity == Warning {
		p.paint = yellow
	}
	head := d.Severity.String()
	if d.Code != "" && d.Code != head { // From's code for any error says no more
		head += "[" + visible(d.Code) + "]"
	}
	fmt.Fprintf(p.w, "%s %s %s\n", p.styled(p.paint, "╭─"), p.styled(bold+p.paint, head+":"), p.styled(bold, visible(d.Summary)))

	switch {
	case d.Subject != nil && d.Path != "":
		p.line(visible(d.Subject.String()) + " (" + visible(d.Path) + ")")
	case d.Subject != nil:
		p.line(visible(d.Subject.String()))
	case d.Path != "":
		p.line("in " + visible(d.Path))
	}
	if d.Subject != nil {
		if src, ok := sources[d.Subject.File]; ok {
			p.excerpt(d, src)
		}
	}
	if d.Detail != "" {
		p.line("")
		for _, paragraph := range strings.Split(strings.TrimRight(d.Detail, "\n"), "\n") {
			for _, l := range wrap(visible(paragraph), p.width-3) {
				p.line(l)
			}
		}
	}
	fmt.Fprintln(p.w, p.styled(p.paint, "╰─"))
}

// excerpt shows the subject's lines, underlined, and around them as much of
// the context as a few lines hold.
func (p *printer) excerpt(d Diagnostic, src []byte) {
	start, end := clampRange(*d.Subject, src)
	first, last := lineOf(src, start), lineOf(src, max(start, end-1))
	from, to := first, last
	if c := d.Context; c != nil && c.File == d.Subject.File {
		cs, ce := clampRange(*c, src)
		from, to = min(from, lineOf(src, cs)), max(to, lineOf(src, max(cs, ce-1)))
	}
	if to-from+1 > maxExcerptLines {
		from = max(from, first-(maxExcerptLines-1)/2)
		to = min(to, from+maxExcerptLines-1)
	}
	gutter := len(strconv.Itoa(to))
	room := max(p.width-gutter-6, 20)
	p.line("")
	offset := lineStart(src, from)
	for n := from; n <= to; n++ {
		stop := offset
		for stop < len(src) && src[stop] != '\n' {
			stop++
		}
		text := strings.TrimSuffix(string(src[offset:stop]), "\r")
		text, under := underline(text, start-offset, end-offset, n == first, n >= first && n <= last, room)
		p.line(p.styled(dim, fmt.Sprintf("%*d │ ", gutter, n)) + text)
		if under != "" {
			p.line(p.styled(dim, strings.Repeat(" ", gutter)+" │ ") + p.styled(p.paint, under))
		}
		offset = stop + 1
	}
}

// underline renders one source line for display and the marks below it. start
// and end are byte offsets of the subject relative to the line, and may lie outside it.
// A line too long for the room is cut to a window that holds the subject's start.
func underline(line string, start, end int, isFirst, marked bool, room int) (shown, marks string) {
	type cell struct {
		text   string
		column int
		width  int
		hit    bool
	}
	// Data files may have lines of any length: only the part near the subject is looked at.
	lo := max(0, min(start, len(line))-4*room)
	hi := min(len(line), max(0, min(start, len(line)))+4*room)
	for lo > 0 && !utf8.RuneStart(line[lo]) {
		lo--
	}
	for hi < len(line) && !utf8.RuneStart(line[hi]) {
		hi++
	}
	var cells []cell
	column := 0
	for i := lo; i < hi; {
		r, size := utf8.DecodeRuneInString(line[i:hi])
		c := cell{column: column, width: runeWidth(r), hit: marked && i < end && i+size > start}
		switch {
		case r == '\t':
			c.width = tabWidth - column%tabWidth
			c.text = strings.Repeat(" ", c.width)
		case r == utf8.RuneError && size == 1, !printable(r):
			c.text, c.width = "\uFFFD", 1
		default:
			c.text = line[i : i+size]
		}
		cells = append(cells, c)
		column += c.width
		i += size
	}
	target := 0
	if marked {
		for target < len(cells) && !cells[target].hit {
			target++
		}
		if target == len(cells) {
			target = 0
			if isFirst && start >= hi { // an empty range at the line's end
				target = len(cells)
			}
		}
	}
	// The window begins at the line's start unless the subject would fall outside it.
	begin := 0
	targetColumn := column
	if target < len(cells) {
		targetColumn = cells[target].column
	}
	if targetColumn > room-8 {
		for begin < len(cells) && cells[begin].column < targetColumn-room/3 {
			begin++
		}
	}
	var text, under strings.Builder
	used := 0
	if begin > 0 || lo > 0 {
		text.WriteString("…")
		under.WriteString(" ")
		used = 1
	}
	leading := true // the indentation of a subject's later lines is not underlined
	anyMark := false
	for _, c := range cells[begin:] {
		if used+c.width > room-1 {
			text.WriteString("…")
			break
		}
		text.WriteString(c.text)
		if strings.TrimSpace(c.text) != "" {
			leading = false
		}
		mark := " "
		if c.hit && (isFirst || !leading) {
			mark, anyMark = "━", true
		}
		under.WriteString(strings.Repeat(mark, c.width))
		used += c.width
	}
	if isFirst && !anyMark { // an empty range: one mark where it stands
		at := max(0, targetColumn)
		if begin > 0 && begin < len(cells) {
			at = targetColumn - cells[begin].column + 1
		}
		return text.String(), strings.Repeat(" ", min(at, room)) + "━"
	}
	if !anyMark {
		return text.String(), ""
	}
	return text.String(), strings.TrimRight(under.String(), " ")
}

// clampRange returns the range's byte offsets, forced into src; a range that
// has lines but no bytes is placed at its line's start.
func clampRange(r Range, src []byte) (start, end int) {
	start, end = r.Start.Byte, r.End.Byte
	if start == 0 && r.Start.Line > 1 {
		start = lineStart(src, r.Start.Line)
		end = start
	}
	start = min(max(start, 0), len(src))
	return start, min(max(end, start), len(src))
}

// lineOf returns the 1-based line of a byte offset.
func lineOf(src []byte, offset int) int {
	n := 1
	for _, c := range src[:min(offset, len(src))] {
		if c == '\n' {
			n++
		}
	}
	return n
}

// lineStart returns the byte offset at which a 1-based line begins.
func lineStart(src []byte, line int) int {
	offset := 0
	for n := 1; n < line; n++ {
		for offset < len(src) && src[offset] != '\n' {
			offset++
		}
		if offset < len(src) {
			offset++
		}
	}
	return offset
}

// wrap breaks text at spaces into lines of at most width columns. Text that
// begins with a space is left as it is, and a longer word keeps its own line.
func wrap(text string, width int) []string {
	if text == "" || text[0] == ' ' {
		return []string{text}
	}
	var lines []string
	var line strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		w := textWidth(word)
		if used > 0 && used+1+w > width {
			lines = append(lines, line.String())
			line.Reset()
			used = 0
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		line.WriteString(word)
		used += w
	}
	return append(lines, line.String())
}

// visible replaces everything that could move the cursor or hide text.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return ' '
		case !printable(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// printable excludes control characters and the invisible formatting ones, such as the marks
// that reverse the direction of text and can make a line read as something else.
func printable(r rune) bool {
	return !unicode.Is(unicode.Cc, r) && !unicode.Is(unicode.Cf, r) && r != '\u2028' && r != '\u2029'
}

func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is the number of terminal cells of a character: none for combining
// marks, two for East Asian wide characters and emoji, else one.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && (r <= 0x115F || // Hangul Jamo
		r >= 0x2E80 && r <= 0x303E || r >= 0x3041 && r <= 0xA4CF || // CJK, kana, Yi
		r >= 0xAC00 && r <= 0xD7A3 || r >= 0xF900 && r <= 0xFAFF || // Hangul, compatibility
		r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 || // full width
		r >= 0x1F300 && r <= 0x1F64F || r >= 0x1F900 && r <= 0x1F9FF || // emoji
		r >= 0x20000 && r <= 0x3FFFD): // CJK extensions
		return 2
	}
	return 1
}
