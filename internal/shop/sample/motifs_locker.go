package sample

import "fmt"

func jumper(d *drawing, t tone) {
	outline := "M160 78Q200 92 240 78L284 96Q306 106 312 132L356 288L312 302L284 206V340H116V206L88 302L44 288L88 132Q94 106 116 96Z"
	d.lifted(t.base, outline)
	d.inside(outline, func() {
		d.stroke(t.light, 3, ribs(128, 276, 12, 112, 200))
		d.stroke(t.shade, 3, ribs(134, 282, 12, 112, 200))
		d.box(t.base, 110, 100, 180, 14, 0)
		d.stroke(t.light, 5, rows(208, 224, 16, 120, 280))
		for _, x := range []int{150, 200, 250} {
			d.stroke(t.light, 6, fmt.Sprintf("M%d 116q18 21 0 42t0 42M%d 116q-18 21 0 42t0 42", x-4, x+4))
		}
		d.box(t.shade, 110, 316, 180, 30, 0)
		d.stroke(t.light, 3, ribs(122, 282, 10, 319, 340))
		d.fill(t.shade, "M40 262L98 282V310L40 300ZM360 262L302 282V310L360 300Z")
		d.stroke(t.light, 3, "M58 276L54 290M70 280L66 294M82 284L78 298M342 276L346 290M330 280L334 294M318 284L322 298")
		d.fill(shade, "M268 90Q290 100 284 206V316H250Q276 220 268 90Z")
		d.fill(shade, "M116 206L88 302L78 298L112 180ZM330 190L360 290L320 310L306 250Z")
	})
	d.fill(t.shade, "M156 82Q156 62 166 58Q200 72 234 58Q244 62 244 82Q200 112 156 82Z")
	d.fill(ink, "M168 64Q200 78 232 64Q230 84 200 86Q170 84 168 64Z")
	d.stroke(t.light, 3, "M164 76L168 88M178 82L181 95M193 86L194 99M208 86L207 99M222 82L219 95M236 76L232 88")
}

func stripedTee(d *drawing, t tone) {
	outline := "M152 80Q200 122 248 80L290 98L354 172L310 214L284 190V334H116V190L90 214L46 172L110 98Z"
	body := "M152 80Q200 122 248 80L282 94Q276 140 284 190V334H116V190Q124 140 118 94Z"
	d.lifted(cream.base, outline)
	d.inside(outline, func() {
		d.stroke(t.base, 10, "M116 106L54 172M132 122L72 190M148 138L90 208M284 106L346 172M268 122L328 190M252 138L310 208")
		d.fill(shade, "M120 190L90 214L80 204L114 160ZM280 190L310 214L354 172L334 150Z")
	})
	d.fill(cream.base, body)
	d.inside(body, func() {
		d.stroke(t.base, 10, rows(138, 320, 24, 100, 300))
		d.fill(shade, "M266 80Q284 160 290 340H240Q282 230 266 80Z")
		d.stroke(gleam, 8, "M132 206V300")
	})
	d.stroke(cream.shade, 3, "M116 190Q124 140 118 96M284 190Q276 140 282 96")
	d.fill(cream.shade, "M160 83Q200 92 240 83Q200 118 160 83Z")
	d.stroke(cream.light, 9, "M156 84Q200 124 244 84")
	d.stroke(cream.shade, 3, "M118 327H282")
}

func woolCap(d *drawing, t tone) {
	dome := "M90 262C84 140 138 72 200 72C262 72 316 140 310 262Z"
	d.ground(200, 328, 116)
	d.fill(t.base, dome)
	d.inside(dome, func() {
		d.stroke(t.shade, 6, "M200 70V260M196 72C164 110 154 180 154 260M204 72C236 110 246 180 246 260M190 76C136 110 112 180 112 260M210 76C264 110 288 180 288 260")
		d.stroke(t.light, 4, "M190 84C162 116 146 180 145 250M178 84C132 116 106 180 104 250")
		d.fill(shade, "M226 60C262 110 276 190 264 270H330V60Z")
	})
	cuff := "M98 234H302Q328 234 328 262V300Q328 328 302 328H98Q72 328 72 300V262Q72 234 98 234Z"
	d.fill(shade, "M92 226H308V246H92Z")
	d.fill(t.light, cuff)
	d.inside(cuff, func() {
		d.stroke(t.base, 8, ribs(86, 326, 18, 230, 334))
		d.fill(shade, "M274 220H340V340H240Q280 300 274 220Z")
	})
	d.box(wood.base, 120, 264, 52, 34, 5)
	d.dashed(cream.base, 2.5, "5 4", "M125 269H167V293H125Z")
}

func scarf(d *drawing, t tone) {
	left, right := "M146 168L206 176L190 346H122Z", "M196 176L250 160L286 330L222 342Z"
	d.moved("translate(9 12)", func() {
		d.fill(shadow, left)
		d.fill(shadow, right)
		d.stroke(shadow, 50, "M134 142C110 76 290 76 266 142C250 190 150 190 134 142Z")
	})
	d.fill(t.shade, "M134 142C110 76 290 76 266 142C250 210 150 210 134 142Z")
	d.stroke(t.shade, 50, "M134 142C110 76 290 76 266 142")
	d.stroke(cream.shade, 4, "M222 352l-2 -16M234 351l-2 -16M246 349l-2 -16M258 347l-2 -16M270 344l-2 -16M281 342l-2 -16")
	d.fill(t.base, right)
	d.inside(right, func() {
		d.stroke(cream.base, 12, "M206 298L300 280")
		d.stroke(cream.base, 12, "M202 274L300 254")
		d.stroke(ochre.base, 6, "M206 318L300 301")
		d.fill(shade, "M180 160H222L240 350H200Z")
	})
	d.stroke(cream.base, 4, "M126 346v16M138 346v16M150 346v16M162 346v16M174 346v16M186 346v16")
	d.fill(t.base, left)
	d.inside(left, func() {
		d.stroke(cream.base, 12, "M110 304H210M110 280H210")
		d.stroke(ochre.base, 6, "M110 325H210")
		d.fill(shade, "M184 160H220V350H172Z")
		d.stroke(gleam, 7, "M158 200L148 262")
	})
	d.stroke(t.base, 50, "M134 142C148 196 252 196 266 142")
	d.stroke(t.shade, 4, "M138 166C160 206 240 206 262 166M128 150C148 190 244 196 270 144")
	d.stroke(t.light, 6, "M124 132C130 160 150 172 172 178")
	d.fill(t.light, "M168 160Q196 148 222 162Q232 196 216 214Q192 222 170 208Q158 184 168 160Z")
	d.fill(shade, "M206 156Q226 160 226 180Q226 206 214 214Q200 218 190 216Q216 196 206 156Z")
}

func deckShoes(d *drawing, t tone) {
	d.moved("translate(122 204) rotate(-7)", func() { deckShoe(d, t) })
	d.moved("translate(274 198) rotate(7)", func() { deckShoe(d, t) })
}

// deckShoe is a shoe seen from above, around the origin.
func deckShoe(d *drawing, t tone) {
	outline := "M-4 -150C42 -152 64 -112 62 -62C60 -20 48 8 50 60C52 112 38 148 0 148C-38 148 -52 112 -50 60C-48 8 -56 -20 -58 -62C-60 -112 -40 -148 -4 -150Z"
	d.moved("translate(7 13)", func() { d.stroke(shadow, 16, outline) })
	d.stroke(cream.base, 15, outline)
	d.fill(t.base, outline)
	d.inside(outline, func() {
		d.fill(t.light, "M-36 -22C-46 -88 -30 -122 -2 -124C30 -122 46 -88 36 -22Z")
		d.dashed(t.shade, 4, "8 5", "M-36 -22C-46 -88 -30 -122 -2 -124C30 -122 46 -88 36 -22")
		d.fill(shade, "M30 -160H80V160H20Q44 60 42 0Q52 -90 30 -160Z")
		d.stroke(cream.base, 5, "M-44 20C-46 70 -42 104 -26 130M44 20C46 70 42 104 26 130")
		d.stroke(gleam, 7, "M-46 -60C-46 -96 -38 -118 -24 -130")
	})
	d.fill(t.shade, "M0 -14C30 -14 36 20 36 62C36 106 26 126 0 126C-26 126 -36 106 -36 62C-36 20 -30 -14 0 -14Z")
	d.fill(rope.base, "M0 10C22 10 28 36 28 66C28 102 20 118 0 118C-20 118 -28 102 -28 66C-28 36 -22 10 0 10Z")
	d.fill(shade, "M0 10C22 10 28 36 28 66C28 70 28 50 0 46C-28 50 -28 70 -28 66C-28 36 -22 10 0 10Z")
	d.box(t.base, -21, -56, 42, 66, 14)
	d.stroke(cream.light, 6, "M-30 -40L30 -28M-30 -14L30 -28M-30 -14L0 -4")
	d.stroke(cream.light, 5, "M0 -8C-30 -20 -34 16 0 -4C34 16 30 -20 0 -8M0 -4L-14 26M0 -4L16 24")
	for _, y := range []float64{-40, -14} {
		d.circle(brass.base, -32, y, 5)
		d.circle(brass.base, 32, y+12, 5)
	}
}

func raincoat(d *drawing, t tone) {
	outline := "M154 104Q200 128 246 104L288 122Q304 130 310 148L354 290L310 304L280 216L290 344H110L120 216L90 304L46 290L90 148Q96 130 112 122Z"
	d.moved("translate(9 12)", func() {
		d.fill(shadow, outline)
		d.fill(shadow, "M142 116C134 30 266 30 258 116Z")
	})
	d.fill(t.base, outline)
	d.inside(outline, func() {
		d.fill(shade, "M262 110Q286 130 280 216L300 344H254Q272 230 262 110Z")
		d.fill(shade, "M120 216L90 304L78 298L112 196ZM326 200L360 290L320 310L304 250Z")
		d.fill(t.light, "M40 270L100 288V312H40ZM360 270L300 288V312H360Z")
		d.stroke(t.shade, 4, "M200 118V344M214 122V344M120 216Q112 180 116 140M280 216Q288 180 284 140M106 332H294")
		d.stroke(gleam, 9, "M140 170L134 240")
	})
	d.box(t.light, 130, 262, 54, 18, 5)
	d.box(t.light, 230, 262, 54, 18, 5)
	d.stroke(t.shade, 3, "M134 280V312H180V280M234 280V312H280V280")
	d.fill(t.light, "M140 120C128 28 272 28 260 120Q232 152 200 148Q168 152 140 120Z")
	d.fill(shade, "M226 58C266 70 266 104 260 120Q236 148 206 148Q250 116 226 58Z")
	d.fill(iron.base, "M160 112C152 58 248 58 240 112Q222 134 200 132Q178 134 160 112Z")
	d.fill(navy.base, "M166 116Q200 92 234 116Q218 132 200 131Q182 132 166 116Z")
	d.stroke(cream.base, 4, "M182 144V176M220 144V170")
	for y := 172.0; y < 330; y += 38 {
		d.circle(iron.base, 207, y, 6.5)
	}
}

func wellies(d *drawing, t tone) {
	d.ground(206, 332, 138)
	d.moved("translate(62 -16)", func() { welly(d, tone{t.base, t.shade, t.shade}) })
	d.moved("translate(-32 0)", func() { welly(d, t) })
}

func welly(d *drawing, t tone) {
	boot := "M112 70H200V222Q202 244 224 252L268 268Q296 280 294 316H108V250Q116 170 112 70Z"
	d.fill(t.base, boot)
	d.inside(boot, func() {
		d.fill(shade, "M178 60H210V230Q216 250 300 280V330H170Q196 270 178 60Z")
		d.stroke(gleam, 11, "M130 112Q134 180 128 240")
		d.fill(t.light, "M236 330Q232 282 252 262H310V330Z")
		d.stroke(t.shade, 4, "M108 262Q140 276 168 262")
	})
	d.box(cream.base, 106, 66, 98, 22, 6)
	d.box(shade, 182, 66, 22, 22, 6)
	d.fill(iron.base, "M104 312H296Q300 332 284 334H206L200 326H158L152 334H112Q102 334 104 312Z")
	d.box(iron.light, 108, 314, 150, 4, 2)
}

func socks(d *drawing, t tone) {
	d.moved("rotate(9 210 200) translate(48 -14)", func() { sock(d, tone{t.base, t.shade, t.shade}) })
	d.moved("translate(-18 6)", func() { sock(d, t) })
}

func sock(d *drawing, t tone) {
	outline := "M100 60H192V196Q194 222 220 236L276 264Q306 282 294 312Q280 338 246 328L148 294Q100 276 100 226Z"
	d.lifted(t.base, outline)
	d.inside(outline, func() {
		d.circle(rust.base, 108, 282, 50)
		d.circle(rust.base, 302, 318, 62)
		d.stroke(cream.base, 9, rows(126, 158, 16, 90, 200))
		d.fill(shade, "M170 50H200V200Q200 230 310 280V340H240Q300 310 262 280L200 250Q172 232 170 200Z")
		d.stroke(t.shade, 3, "M110 190H186M110 208H188M112 226H192")
	})
	d.box(t.light, 94, 54, 104, 54, 10)
	d.stroke(t.base, 5, ribs(108, 190, 14, 60, 102))
	d.box(shade, 172, 54, 26, 54, 10)
}

func mittens(d *drawing, t tone) {
	for _, place := range []string{"translate(220 66) rotate(4) scale(0.94)", "translate(180 66) rotate(-4) scale(-0.94 0.94)"} {
		d.moved("translate(8 12) "+place, func() {
			d.fill(shadow, mittenOutline+"M2 214V260Q2 274 16 274H114Q128 274 128 260V214Z")
		})
		d.moved(place, func() { mitten(d, t) })
	}
}

const mittenOutline = "M8 214V92Q8 8 66 8Q124 8 124 92V112Q132 84 148 84Q172 88 166 122Q156 176 122 214Z"

// mitten has its thumb on the right.
func mitten(d *drawing, t tone) {
	d.fill(t.base, mittenOutline)
	d.inside(mittenOutline, func() {
		for row := range 3 {
			y := 66 + row*46
			d.fill(cream.base, fmt.Sprintf("M36 %dl12 -17l12 17l-12 17ZM72 %dl12 -17l12 17l-12 17Z", y, y))
			d.fill(t.base, fmt.Sprintf("M42 %dl6 -8l6 8l-6 8ZM78 %dl6 -8l6 8l-6 8Z", y, y))
		}
		d.stroke(cream.base, 6, "M0 190H140")
		d.stroke(shade, 6, "M122 118Q124 150 118 176")
	})
	d.box(t.light, 2, 204, 126, 70, 14)
	d.stroke(t.base, 6, ribs(18, 120, 16, 212, 266))
	d.box(rust.base, 2, 226, 126, 13, 0)
}
