package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Limits on what is handed to the HCL parser. It calls itself for every bracket and for every
// operator of a chain, and Go ends a process whose stack overflows, so that both are counted
// on the tokens before it runs.
const (
	maxFileBytes    = 1 << 20
	maxTokens       = 1 << 18 // of a file
	maxDepth        = 256
	maxOperators    = 4096 // pending at once, in an expression and those around it
	maxNumberLength = 1024 // characters of a number
	// maxPieces of one quoted text: lines of a heredoc, parts around ${ } and around each $ and %. The
	// parser takes time in the square of their number.
	maxPieces = 4096
)

// scanFile finds the first place in a file at which a limit is passed, and texts
// that are no UTF-8.
func scanFile(src []byte, name string) diag.Diagnostics {
	if len(src) > maxFileBytes {
		return diag.Diagnostics{fileTooLarge(name, int64(len(src)))}
	}
	tokens, diags := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return fromHCL(diags)
	}
	return scanTokens(tokens)
}

// scanExpression is scanFile for one expression, which newlines do not end.
func scanExpression(src []byte, name string) diag.Diagnostics {
	if len(src) > maxFileBytes {
		return diag.Diagnostics{fileTooLarge(name, int64(len(src)))}
	}
	tokens, diags := hclsyntax.LexExpression(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return fromHCL(diags)
	}
	return scanTokens(append(hclsyntax.Tokens{{Type: hclsyntax.TokenOParen}}, tokens...))
}

// level is an open bracket, quote, template sequence or directive of a text.
type level struct {
	closer    hclsyntax.TokenType
	nests     bool // counts towards the depth; quotes alone do not
	opens     bool // an if or for directive, whose content begins where this ends
	newlines  bool // a newline ends an expression here
	operators int  // since the last separator
	pieces    int  // of a quoted text
}

// directive marks the level between %{if} and %{endif}, which no token closes.
const directive = hclsyntax.TokenNil

func scanTokens(tokens hclsyntax.Tokens) diag.Diagnostics {
	if len(tokens) > maxTokens {
		return diag.Diagnostics{diag.Errorf("file_too_large", "A file of more than %d words and signs", maxTokens).At(fromHCLRange(tokens[maxTokens].Range)).
			Hint("Split it, or keep data in a data file.")}
	}
	s := scanner{levels: []level{{closer: hclsyntax.TokenEOF, newlines: true}}}
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace:
			s.push(level{closer: hclsyntax.TokenCBrace, nests: true, newlines: !isWord(tokens, i+1, "for")})
		case hclsyntax.TokenOBrack:
			s.operator() // it may continue an expression: a[0][1]
			s.push(level{closer: hclsyntax.TokenCBrack, nests: true})
		case hclsyntax.TokenOParen:
			s.push(level{closer: hclsyntax.TokenCParen, nests: true})
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			s.push(level{closer: hclsyntax.TokenTemplateSeqEnd, nests: true})
			if t.Type == hclsyntax.TokenTemplateControl {
				s.control(tokens, i+1)
			}
		case hclsyntax.TokenOQuote:
			s.push(level{closer: hclsyntax.TokenCQuote})
		case hclsyntax.TokenOHeredoc:
			s.push(level{closer: hclsyntax.TokenCHeredoc})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			s.pop(t.Type)
		case hclsyntax.TokenComma:
			s.separate()
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			// The token of a # comment holds its line's end; a /* */ comment separates nothing.
			if s.levels[len(s.levels)-1].newlines && t.Bytes[len(t.Bytes)-1] == '\n' {
				s.separate()
			}
		case hclsyntax.TokenNumberLit:
			if len(t.Bytes) > maxNumberLength {
				return diag.Diagnostics{diag.Errorf("number_too_long", "A number of %d characters", len(t.Bytes)).
					At(fromHCLRange(t.Range)).Hint("Numbers may have at most %d characters. Write it shorter, as in 1.5e10.", maxNumberLength)}
			}
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit:
			top := &s.levels[len(s.levels)-1]
			if top.pieces++; top.pieces > maxPieces {
				return diag.Diagnostics{diag.Errorf("text_too_long", "A text of more than %d pieces", maxPieces).At(fromHCLRange(t.Range)).
					Hint("A quoted text may have at most that many lines, and parts between each $ and %%. Keep long texts in a file of their own.")}
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenEOF:
		default:
			s.operator()
		}
		if s.depth > maxDepth {
			return diag.Diagnostics{diag.Errorf("too_deep", "Brackets nested more than %d deep", maxDepth).At(fromHCLRange(t.Range)).
				Hint("Blocks, lists, parentheses and templates may stand inside each other at most %d deep. Name inner parts in a locals block, or close a bracket that was left open.", maxDepth)}
		}
		if s.operators > maxOperators {
			return diag.Diagnostics{diag.Errorf("expression_too_long", "An expression of more than %d operators", maxOperators).At(fromHCLRange(t.Range)).
				Hint("Split it with a locals block, or write the result down.")}
		}
	}
	return nil
}

type scanner struct {
	levels    []level
	depth     int // levels that nest
	operators int // of all levels together
}

func (s *scanner) push(l level) {
	s.levels = append(s.levels, l)
	if l.nests {
		s.depth++
	}
}

// drop removes the innermost level.
func (s *scanner) drop() {
	top := s.levels[len(s.levels)-1]
	s.levels = s.levels[:len(s.levels)-1]
	s.operators -= top.operators
	if top.nests {
		s.depth--
	}
}

// pop leaves the innermost level if t closes it. A closer that fits nothing is left to the
// parser to report; ignoring it can only make the text look deeper than it is. The end
// of a quoted text also ends what was left open inside it.
func (s *scanner) pop(t hclsyntax.TokenType) {
	if t == hclsyntax.TokenCQuote || t == hclsyntax.TokenCHeredoc {
		for len(s.levels) > 1 && s.levels[len(s.levels)-1].closer != t {
			s.drop()
		}
	}
	top := s.levels[len(s.levels)-1]
	if len(s.levels) > 1 && top.closer == t {
		s.drop()
		if top.opens {
			s.push(level{closer: directive, nests: true})
		}
	}
}

// control follows the directives of a template: if and for nest what comes after them.
func (s *scanner) control(tokens hclsyntax.Tokens, i int) {
	n := len(s.levels)
	switch {
	case isWord(tokens, i, "if", "for"):
		s.levels[n-1].opens = true
	case isWord(tokens, i, "endif", "endfor") && n > 2 && s.levels[n-2].closer == directive:
		s.levels = append(s.levels[:n-2], s.levels[n-1]) // the sequence just opened stays
		s.depth--
	}
}

// isWord reports whether the first token from i on that is neither a newline nor a comment is one of the words.
func isWord(tokens hclsyntax.Tokens, i int, words ...string) bool {
	for ; i < len(tokens); i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		case hclsyntax.TokenIdent:
			return slices.Contains(words, string(tokens[i].Bytes))
		default:
			return false
		}
	}
	return false
}

func (s *scanner) operator() {
	s.levels[len(s.levels)-1].operators++
	s.operators++
}

func (s *scanner) separate() {
	top := &s.levels[len(s.levels)-1]
	s.operators -= top.operators
	top.operators = 0
}
