package conditions

// Piece is a stretch of a template's text as it was written: an expression with
// its ${ and }, or what stands between two.
type Piece struct {
	Text       string
	Expression bool
}

// Pieces cuts a text at its expressions; put together again, they are the text.
// It reports false when the last expression is not closed.
func Pieces(text string) ([]Piece, bool) {
	parts, ok := split(text)
	if !ok {
		return nil, false
	}
	var pieces []Piece
	end := 0
	around := func(to int) {
		if to > end {
			pieces = append(pieces, Piece{Text: text[end:to]})
		}
	}
	for _, p := range parts {
		if !p.expression {
			continue // its escapes are undone
		}
		begin := p.offset - len(opening)
		around(begin)
		end = p.offset + len(p.text) + len("}")
		pieces = append(pieces, Piece{Text: text[begin:end], Expression: true})
	}
	around(len(text))
	return pieces, true
}
