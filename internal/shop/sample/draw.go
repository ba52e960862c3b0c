package sample

import (
	"fmt"
	"math"
	"strings"
)

// drawing is one picture in the making: 400 by 400 units, light from the upper left.
type drawing struct {
	slug  string
	clips int
	svg   strings.Builder
}

// picture draws a motif in one material before a backdrop, as a complete SVG document.
func picture(slug string, backdrop func(*drawing, light), under light, motif func(*drawing, tone), in tone) string {
	d := &drawing{slug: slug}
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="400" height="400">`)
	backdrop(d, under)
	motif(d, in)
	d.printf(`</svg>`)
	return d.svg.String()
}

func (d *drawing) fill(color, path string) {
	d.printf(`<path fill="%s" d="%s"/>`, color, path)
}

func (d *drawing) stroke(color string, width float64, path string) {
	d.printf(`<path fill="none" stroke="%s" stroke-width="%v" stroke-linecap="round" stroke-linejoin="round" d="%s"/>`, color, width, path)
}

// dashed takes dashes as SVG writes them: "length gap".
func (d *drawing) dashed(color string, width float64, dashes, path string) {
	d.printf(`<path fill="none" stroke="%s" stroke-width="%v" stroke-dasharray="%s" d="%s"/>`, color, width, dashes, path)
}

// beads are dashes with round ends.
func (d *drawing) beads(color string, width float64, dashes, path string) {
	d.printf(`<path fill="none" stroke="%s" stroke-width="%v" stroke-linecap="round" stroke-dasharray="%s" d="%s"/>`, color, width, dashes, path)
}

func (d *drawing) circle(color string, x, y, radius float64) {
	d.printf(`<circle fill="%s" cx="%v" cy="%v" r="%v"/>`, color, tenth(x), tenth(y), tenth(radius))
}

func (d *drawing) ring(color string, width, x, y, radius float64) {
	d.printf(`<circle fill="none" stroke="%s" stroke-width="%v" cx="%v" cy="%v" r="%v"/>`, color, width, tenth(x), tenth(y), tenth(radius))
}

func (d *drawing) oval(color string, x, y, across, down float64) {
	d.printf(`<ellipse fill="%s" cx="%v" cy="%v" rx="%v" ry="%v"/>`, color, tenth(x), tenth(y), tenth(across), tenth(down))
}

func (d *drawing) box(color string, x, y, width, height, corner float64) {
	d.printf(`<rect fill="%s" x="%v" y="%v" width="%v" height="%v" rx="%v"/>`, color, tenth(x), tenth(y), tenth(width), tenth(height), corner)
}

// inside keeps what draw adds within the outline of path.
func (d *drawing) inside(path string, draw func()) {
	d.clips++
	id := fmt.Sprintf("%s-%d", d.slug, d.clips)
	d.printf(`<clipPath id="%s"><path d="%s"/></clipPath><g clip-path="url(#%s)">`, id, path, id)
	draw()
	d.printf(`</g>`)
}

func (d *drawing) moved(transform string, draw func()) {
	d.printf(`<g transform="%s">`, transform)
	draw()
	d.printf(`</g>`)
}

// lifted is a shape that lies on the backdrop and casts a shadow there.
func (d *drawing) lifted(color, path string) {
	d.moved("translate(9 12)", func() { d.fill(shadow, path) })
	d.fill(color, path)
}

// ground is the shadow under something that stands.
func (d *drawing) ground(x, y, across float64) {
	d.oval(shadow, x+14, y, across, across*0.13)
}

// speckle scatters dots evenly but without a visible grid, the same way every time.
func (d *drawing) speckle(color string, x, y, width, height float64, dots int) {
	for i := range dots {
		_, across := math.Modf(0.5 + float64(i)*0.7548777)
		_, down := math.Modf(0.5 + float64(i)*0.5698403)
		d.circle(color, x+across*width, y+down*height, 1.6+float64(i%3)*0.7)
	}
}

// flame burns with its foot at x, y.
func (d *drawing) flame(x, y float64) {
	d.moved(fmt.Sprintf("translate(%v %v)", x, y), func() {
		d.circle("#fff3c455", 0, -36, 62)
		d.fill("#f2a33a", "M0 -86C12 -58 27 -44 27 -24C27 -7 14 0 0 0C-14 0 -27 -7 -27 -24C-27 -44 -12 -58 0 -86Z")
		d.fill("#ffe08a", "M0 -50C7 -34 15 -28 15 -15C15 -5 8 0 0 0C-8 0 -15 -5 -15 -15C-15 -28 -7 -34 0 -50Z")
	})
}

func (d *drawing) printf(format string, args ...any) {
	fmt.Fprintf(&d.svg, format, args...)
}

// around returns the point at a bearing, in degrees clockwise from the top.
func around(x, y, radius, bearing float64) (float64, float64) {
	sin, cos := math.Sincos(bearing * math.Pi / 180)
	return tenth(x + radius*sin), tenth(y - radius*cos)
}

// ticks is a path of short lines on a circle, from one bearing to another.
func ticks(x, y, inner, outer, from, to, step float64) string {
	var path strings.Builder
	for bearing := from; bearing <= to; bearing += step {
		x1, y1 := around(x, y, inner, bearing)
		x2, y2 := around(x, y, outer, bearing)
		fmt.Fprintf(&path, "M%v %vL%v %v", x1, y1, x2, y2)
	}
	return path.String()
}

// ribs is a path of upright lines.
func ribs(left, right, step, top, bottom float64) string {
	var path strings.Builder
	for x := left; x <= right; x += step {
		fmt.Fprintf(&path, "M%v %vV%v", x, top, bottom)
	}
	return path.String()
}

// rows is a path of level lines.
func rows(top, bottom, step, left, right float64) string {
	var path strings.Builder
	for y := top; y <= bottom; y += step {
		fmt.Fprintf(&path, "M%v %vH%v", left, y, right)
	}
	return path.String()
}

func tenth(value float64) float64 {
	return math.Round(value*10) / 10
}
