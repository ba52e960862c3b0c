package sample

import "fmt"

func lantern(d *drawing, t tone) {
	glass := "M160 270C126 240 128 182 164 154H236C272 182 274 240 240 270Z"
	d.ground(200, 334, 104)
	d.stroke(steel.shade, 6, "M124 172C84 20 316 20 276 172")
	d.stroke(t.shade, 13, "M276 296V146Q274 116 240 112")
	d.stroke(t.base, 13, "M124 296V146Q126 116 160 112")
	d.fill("#fff0c0", glass)
	d.inside(glass, func() {
		d.circle("#ffdf8f", 200, 226, 48)
		d.fill(shade, "M246 150H280V280H226Q258 220 246 150Z")
	})
	d.flame(200, 266)
	d.stroke(gleam, 8, "M150 232Q144 204 160 180")
	d.stroke(t.shade, 4, "M136 212H264")
	d.fill(t.base, "M152 156L164 118H236L248 156Z")
	d.fill(t.light, "M176 118Q176 84 200 84Q224 84 224 118Z")
	d.fill(shade, "M214 88Q224 96 224 118H236L248 156H222Z")
	d.box(t.shade, 170, 112, 60, 8, 4)
	d.box(brass.base, 158, 260, 84, 20, 7)
	d.box(brass.light, 164, 264, 50, 5, 2.5)
	tank := "M104 306Q104 278 134 278H266Q296 278 296 306V318Q296 334 280 334H120Q104 334 104 318Z"
	d.fill(t.base, tank)
	d.inside(tank, func() {
		d.fill(shade, "M262 270H300V340H210Q266 320 262 270Z")
		d.box(gleam, 120, 290, 74, 9, 4.5)
	})
	d.circle(brass.base, 258, 284, 11)
}

func blanket(d *drawing, t tone) {
	d.ground(206, 336, 150)
	for i, wool := range []tone{t, ochre, t} {
		d.moved(fmt.Sprintf("translate(0 %d)", 268-i*66), func() { fold(d, wool, i != 1) })
	}
	d.fill(t.light, "M106 136Q112 114 146 114H318Q326 114 326 122V136Z")
	d.fill(cream.base, "M206 114H213V136H206ZM230 114H237V136H230Z")
}

// fold is one thickness of blanket, folded at the left and fringed at the right.
func fold(d *drawing, t tone, striped bool) {
	body := "M94 0H324Q330 0 330 8V58Q330 66 324 66H94A33 33 0 0 1 94 0Z"
	d.stroke(t.shade, 3, rows(8, 60, 7, 326, 344))
	d.fill(t.base, body)
	d.inside(body, func() {
		if striped {
			d.box(cream.base, 206, 0, 7, 66, 0)
			d.box(cream.base, 230, 0, 7, 66, 0)
		} else {
			d.dashed(t.shade, 3, "7 7", "M130 16H316M136 50H316")
		}
		d.box(shade, 50, 46, 300, 24, 0)
		d.fill(shade, "M286 0H340V70H272Q290 40 286 0Z")
		d.stroke(gleam, 6, "M92 10H190")
	})
	d.stroke(t.shade, 4, "M322 33H96Q84 33 80 26")
}

func basket(d *drawing, t tone) {
	body := "M84 172H316L298 308Q294 334 266 334H134Q106 334 102 308Z"
	d.ground(200, 334, 118)
	d.stroke(rope.shade, 17, "M128 172C128 56 272 56 272 172")
	d.dashed(rope.light, 9, "11 6", "M128 172C128 56 272 56 272 172")
	d.fill(rope.shade, body)
	d.inside(body, func() {
		for i := range 9 {
			y := 192 + i*17
			reed := rope.base
			if i > 4 {
				reed = t.base
			}
			d.beads(reed, 12, "14 17", fmt.Sprintf("M%d %dH330", 70-i%2*15, y))
			d.dashed(gleam, 3, "12 19", fmt.Sprintf("M%d %dH230", 71-i%2*15, y-3))
		}
		d.fill(shade, "M254 160H330V340H190Q266 300 254 160Z")
	})
	d.box(rope.shade, 74, 158, 252, 28, 14)
	d.dashed(rope.light, 18, "16 5", "M84 171H318")
}

func candleTin(d *drawing, t tone) {
	body := "M110 204V306Q110 334 140 334H260Q290 334 290 306V204Z"
	d.ground(200, 334, 104)
	d.fill(t.base, body)
	d.inside(body, func() {
		d.box(cream.base, 138, 238, 84, 74, 8)
		d.circle(ochre.base, 180, 270, 17)
		d.stroke(t.base, 6, "M148 282q8 -9 16 0t16 0t16 0t16 0")
		d.stroke(t.base, 5, "M152 297q7 -8 14 0t14 0t14 0t14 0")
		d.fill(shade, "M248 190H300V340H206Q258 300 248 190Z")
		d.box(gleam, 120, 232, 9, 84, 4.5)
	})
	d.oval(brass.base, 200, 204, 95, 24)
	d.oval(brass.shade, 200, 205, 87, 19)
	d.oval(cream.base, 200, 208, 84, 16)
	d.oval("#ffe9b8", 200, 207, 44, 9)
	d.stroke(ink, 4, "M200 206V186")
	d.flame(200, 190)
}

func chamberstick(d *drawing, t tone) {
	dish := "M78 288A122 20 0 0 0 322 288Q314 334 250 334H150Q86 334 78 288Z"
	d.ground(200, 336, 108)
	d.ring(t.shade, 15, 328, 276, 27)
	d.ring(t.base, 8, 327, 274, 27)
	d.oval(t.light, 200, 288, 122, 23)
	d.oval(t.shade, 200, 290, 112, 17)
	d.fill(t.base, "M160 250H240L234 294Q200 304 166 294Z")
	d.fill(shade, "M214 250H240L234 294Q220 300 206 299Q216 280 214 250Z")
	d.oval(t.light, 200, 250, 40, 10)
	d.fill(cream.base, "M176 132H224V250Q200 258 176 250Z")
	d.box(shade, 208, 134, 16, 120, 0)
	d.fill(cream.light, "M176 134Q200 122 224 134V168Q220 178 215 168V156Q210 148 206 156V190Q200 202 195 190V154Q184 146 184 160Q179 166 176 158Z")
	d.stroke(ink, 4, "M200 132V112")
	d.flame(200, 118)
	d.fill(t.base, dish)
	d.inside(dish, func() {
		d.fill(shade, "M280 280H330V340H190Q268 330 280 280Z")
		d.stroke(gleam, 8, "M102 304Q112 320 136 324")
	})
}

func cushion(d *drawing, t tone) {
	body := "M70 84Q200 104 330 84Q314 203 330 322Q200 302 70 322Q86 203 70 84Z"
	d.lifted(t.base, body)
	d.inside(body, func() {
		d.fill(cream.base, "M122 134Q200 144 278 134Q270 203 278 272Q200 262 122 272Q130 203 122 134Z")
		d.fill(rust.base, "M164 172Q200 177 236 172Q232 203 236 234Q200 229 164 234Q168 203 164 172Z")
		d.fill(shade, "M300 70H340V340H60V300Q220 306 270 260Q306 220 300 70Z")
		d.stroke(gleam, 9, "M100 112Q150 120 196 120")
		d.stroke(shade, 4, "M84 98L112 124M316 98L288 124M84 308L112 282M316 308L288 282")
	})
	d.stroke(t.light, 5, body)
}

func deskLamp(d *drawing, t tone) {
	d.fill("#fff3c470", "M228 206L330 146L384 318A92 18 0 0 1 200 318Z")
	d.ground(150, 332, 84)
	d.stroke(brass.shade, 13, "M146 316L112 214L216 112")
	d.stroke(brass.base, 8, "M144 314L110 213L214 110")
	d.circle(brass.shade, 112, 214, 16)
	d.circle(brass.light, 109, 211, 9)
	d.fill(t.shade, "M72 334Q72 308 104 308H190Q222 308 222 334Z")
	d.fill(t.base, "M72 328Q72 302 104 302H190Q222 302 222 328Z")
	d.stroke(gleam, 7, "M94 314H150")
	d.moved("translate(226 108) rotate(-30)", func() {
		shadeOutline := "M-24 -34Q-24 -46 -12 -46H12Q24 -46 24 -34V-14Q68 14 74 76Q0 96 -74 76Q-68 14 -24 -14Z"
		d.oval("#fff3c4", 0, 78, 70, 15)
		d.circle("#ffe08a", 0, 82, 22)
		d.fill(t.base, shadeOutline)
		d.inside(shadeOutline, func() {
			d.fill(shade, "M14 -50H80V100H10Q44 40 14 -50Z")
			d.stroke(gleam, 9, "M-50 54Q-46 22 -24 4")
		})
		d.circle(brass.base, 0, -24, 9)
	})
}

func vase(d *drawing, t tone) {
	body := "M168 198Q174 220 148 240Q116 264 120 298Q124 334 166 334H234Q276 334 280 298Q284 264 252 240Q226 220 232 198Z"
	d.ground(200, 334, 94)
	d.stroke(sage.shade, 4.5, "M192 210Q176 130 130 92M200 210Q198 130 200 62M208 210Q222 130 268 84M204 210Q236 160 300 150M196 210Q160 160 104 158")
	d.fill(sage.base, "M196 206Q160 170 152 112Q192 150 200 206ZM204 206Q232 180 242 128Q210 154 200 206Z")
	for _, head := range [][3]float64{{130, 92, 25}, {200, 62, 28}, {268, 84, 25}, {300, 150, 20}, {104, 158, 20}} {
		x, y, size := head[0], head[1], head[2]
		d.fill(rose.shade, bloom(x+2, y+3, size))
		d.fill(rose.base, bloom(x-1, y-1, size*0.82))
		d.fill(rose.light, bloom(x-4, y-4, size*0.48))
	}
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(cream.base, "M100 270q17 -13 34 0t34 0t34 0t34 0t34 0t34 0V296q-17 13 -34 0t-34 0t-34 0t-34 0t-34 0t-34 0Z")
		d.fill(shade, "M220 190H300V340H204Q258 320 252 280Q246 250 224 232Q216 220 220 190Z")
		d.stroke(gleam, 11, "M142 296Q140 268 162 252")
	})
	d.oval(t.light, 200, 198, 32, 8)
	d.oval(t.shade, 200, 199, 25, 5)
}

// bloom is the outline of a round flower head.
func bloom(x, y, radius float64) string {
	startX, startY := around(x, y, radius, 0)
	path := fmt.Sprintf("M%v %v", startX, startY)
	for bearing := 40.0; bearing <= 360; bearing += 40 {
		petalX, petalY := around(x, y, radius, bearing)
		path += fmt.Sprintf("A%v %v 0 0 1 %v %v", tenth(radius*0.4), tenth(radius*0.4), petalX, petalY)
	}
	return path + "Z"
}

func pegRail(d *drawing, t tone) {
	d.lifted(wood.base, "M48 92H352Q360 92 360 100V134Q360 142 352 142H48Q40 142 40 134V100Q40 92 48 92Z")
	d.stroke(wood.light, 4, "M50 98H350")
	d.stroke(wood.shade, 2.5, "M60 116H132M90 128H210M240 112H336M262 130H300")
	bag := "M150 198H250L260 320H140Z"
	d.stroke(shadow, 9, "M178 214C178 150 240 150 240 214")
	d.lifted(t.base, bag)
	d.inside(bag, func() {
		d.box(cream.base, 130, 270, 140, 14, 0)
		d.box(cream.base, 130, 294, 140, 7, 0)
		d.fill(shade, "M230 190H270V330H214Q240 260 230 190Z")
		d.box(gleam, 160, 212, 7, 44, 3.5)
	})
	d.stroke(t.shade, 8, "M170 202C170 134 230 134 230 202")
	for i, hank := range []string{"M94 124C56 190 66 262 94 262C122 262 132 190 94 124", "M94 124C70 190 76 244 94 244C112 244 118 190 94 124"} {
		if i == 0 {
			d.moved("translate(8 10)", func() { d.stroke(shadow, 11, hank) })
		}
		d.stroke(rope.shade, 11, hank)
		d.dashed(rope.light, 8, "8 3", hank)
	}
	d.moved("translate(8 10)", func() { d.stroke(shadow, 7, "M306 122V182") })
	d.stroke(brass.base, 6, "M306 122L298 170M306 122L314 170")
	d.ring(brass.base, 9, 306, 186, 19)
	d.fill(brass.base, "M301 204H311V270H330V284H311V292H301Z")
	d.stroke(brass.light, 3, "M303 208V286")
	for _, x := range []float64{94, 200, 306} {
		d.circle(wood.shade, x+3, 121, 17)
		d.circle(wood.light, x, 117, 16)
		d.circle("#f3d3ab", x-4, 113, 6)
	}
}
