package demo

import "io"

// NewView is a view on a terminal, without colours.
func NewView(out io.Writer) *view { return &view{out: out, live: true} }

func (v *view) Print(lines ...string) { v.print(lines...) }
func (v *view) Draw(block ...string)  { v.draw(block...) }
