package sample

import "fmt"

func compass(d *drawing, t tone) {
	d.moved("translate(9 12)", func() {
		d.ring(shadow, 12, 200, 52, 22)
		d.circle(shadow, 200, 220, 138)
	})
	d.ring(t.shade, 12, 200, 52, 22)
	d.ring(t.base, 6, 199, 51, 22)
	d.box(t.shade, 182, 70, 36, 24, 6)
	d.circle(t.shade, 200, 220, 138)
	d.circle(t.base, 198, 217, 135)
	d.ring(t.light, 6, 197, 216, 124)
	d.circle(t.shade, 200, 220, 112)
	d.circle(cream.base, 201, 222, 107)
	d.stroke(navy.base, 3, ticks(200, 220, 92, 101, 0, 350, 10))
	d.stroke(navy.base, 6, ticks(200, 220, 88, 101, 0, 350, 90))
	d.fill(brass.light, "M200 220L252 168L222 220L252 272L200 242L148 272L178 220L148 168L200 198Z")
	d.fill(navy.light, "M200 138L214 206L282 220L214 234L200 302L186 234L118 220L186 206Z")
	d.fill(navy.base, "M200 138V220L214 206ZM282 220H200L214 234ZM200 302V220L186 234ZM118 220H200L186 206Z")
	d.moved("rotate(32 200 220)", func() {
		d.fill(rust.base, "M200 128L213 220H187Z")
		d.fill(ink, "M200 312L213 220H187Z")
		d.fill(rust.light, "M200 128V220H187Z")
	})
	d.circle(t.shade, 200, 220, 12)
	d.circle(t.light, 197, 217, 6)
	d.fill(gleam, "M112 180A98 98 0 0 1 196 124A140 140 0 0 0 112 180Z")
	d.stroke(gleam, 7, "M82 174Q98 128 142 106")
}

func barometer(d *drawing, t tone) {
	d.ring(brass.shade, 7, 200, 40, 14)
	d.lifted(t.base, "M146 50H254L350 146V254L254 350H146L50 254V146Z")
	d.fill(t.light, "M146 50H254L248 64H152L64 152V248L50 254V146Z")
	d.fill(t.shade, "M350 146V254L254 350H146L152 336H248L336 248V152Z")
	d.stroke(t.shade, 2.5, "M120 92Q110 104 96 112M280 308Q300 300 312 284M84 250Q92 276 112 292M290 96Q306 108 318 130")
	d.circle(shadow, 206, 208, 118)
	d.circle(brass.shade, 200, 200, 118)
	d.circle(brass.base, 198, 198, 115)
	d.ring(brass.light, 4, 197, 197, 108)
	d.circle(cream.shade, 200, 200, 100)
	d.circle(cream.light, 201, 202, 97)
	d.stroke(ink, 3, ticks(200, 200, 78, 88, -130, 130, 10))
	d.stroke(ink, 5, ticks(200, 200, 72, 88, -120, 120, 40))
	d.circle(ochre.base, 250, 184, 11)
	d.stroke(ochre.base, 3.5, ticks(250, 184, 15, 19, 0, 330, 45))
	d.fill(slate.light, "M134 196a10 10 0 0 1 4 -19a14 14 0 0 1 26 2a9 9 0 0 1 1 17Z")
	d.stroke(slate.base, 3.5, "M142 203l-4 8M154 203l-4 8")
	d.stroke(brass.base, 5, "M200 200L152 136")
	d.moved("rotate(28 200 200)", func() {
		d.fill(ink, "M200 116L207 200L204 244H196L193 200Z")
		d.circle(ink, 200, 240, 9)
	})
	d.circle(brass.shade, 200, 200, 11)
	d.circle(brass.light, 197, 197, 5)
	d.box(cream.shade, 176, 266, 48, 13, 6.5)
	d.box(rust.base, 180, 270, 26, 5, 2.5)
	d.fill(gleam, "M116 178A88 88 0 0 1 190 114A124 124 0 0 0 116 178Z")
}

func shipsBell(d *drawing, t tone) {
	bell := "M200 98C246 98 264 130 266 178C268 230 280 258 312 284Q320 304 298 306H102Q80 304 88 284C120 258 132 230 134 178C136 130 154 98 200 98Z"
	d.box(shadow, 69, 52, 280, 34, 8)
	d.moved("translate(14 14)", func() { d.fill(shadow, bell) })
	d.box(wood.base, 60, 40, 280, 36, 8)
	d.box(wood.light, 64, 43, 272, 6, 3)
	d.stroke(wood.shade, 2.5, "M76 60H160M180 66H300M224 56H324")
	d.circle(brass.light, 84, 58, 6)
	d.circle(brass.light, 316, 58, 6)
	d.stroke(t.shade, 12, "M178 74V92M222 74V92")
	d.box(t.base, 168, 84, 64, 18, 9)
	d.circle(t.shade, 200, 312, 19)
	d.fill(t.base, bell)
	d.inside(bell, func() {
		d.fill(shade, "M226 90H330V310H180C256 300 250 180 226 90Z")
		d.stroke(gleam, 13, "M158 200C160 160 164 140 178 122")
		d.stroke(t.shade, 5, "M130 196H270M124 210H276")
		d.box(t.light, 70, 282, 260, 7, 0)
		d.box(t.shade, 70, 296, 260, 12, 0)
	})
	d.stroke(rope.shade, 12, "M200 326V366")
	d.dashed(rope.light, 8, "7 3", "M200 326V366")
	d.circle(rope.shade, 200, 342, 13)
	d.circle(rope.light, 197, 339, 7)
	d.fill(rope.base, "M192 362H208L214 386H186Z")
}

func tideChart(d *drawing, t tone) {
	d.stroke(rope.shade, 4, "M96 84L200 36L304 84")
	d.circle(brass.base, 200, 36, 8)
	d.lifted(cream.base, "M84 86H316V346H84Z")
	d.inside("M84 86H316V346H84Z", func() {
		d.stroke(cream.shade, 2.5, ribs(108, 300, 32, 170, 320))
		d.fill(t.light, "M100 250Q122 170 148 196T196 262T244 206T300 240V320H100Z")
		d.fill(t.base, "M100 286Q122 222 148 244T196 292T244 246T300 276V320H100Z")
		d.stroke(t.shade, 5, "M100 250Q122 170 148 196T196 262T244 206T300 240")
		d.fill(shade, "M290 80H320V350H276Q300 220 290 80Z")
	})
	for _, x := range []float64{124, 162, 200, 238, 276} {
		d.circle(navy.base, x, 134, 14)
	}
	d.fill(ochre.light, "M162 123A11 11 0 0 1 162 145ZM238 123A11 11 0 0 0 238 145Z")
	d.circle(ochre.light, 200, 134, 11)
	d.stroke(rust.base, 3, "M100 164H300")
	for _, y := range []float64{78, 338} {
		d.box(shadow, 79, y+7, 252, 18, 9)
		d.box(wood.base, 74, y, 252, 18, 9)
		d.box(wood.light, 80, y+3, 236, 5, 2.5)
	}
}

func starChart(d *drawing, t tone) {
	d.lifted(wood.base, "M58 46H342V354H58Z")
	d.fill(wood.light, "M58 46H342L334 54H66V346L58 354Z")
	d.fill(wood.shade, "M342 46V354H58L66 346H334V54Z")
	d.box(t.shade, 76, 64, 248, 272, 0)
	d.circle(t.base, 200, 200, 108)
	d.fill(t.light, "M128 281Q150 210 206 176Q252 146 262 112A108 108 0 0 1 296 152Q280 196 222 220Q178 244 164 302A108 108 0 0 1 128 281Z")
	d.ring(ochre.light, 3, 200, 200, 108)
	d.ring(ochre.base, 2, 200, 200, 70)
	d.stroke(ochre.light, 2.5, ticks(200, 200, 110, 117, 0, 345, 15))
	d.stroke(ochre.base, 1.5, "M200 92V308M92 200H308")
	d.speckle("#fff6dc", 134, 126, 132, 148, 40)
	d.stroke(cream.light, 2.5, "M122 168L142 148L166 154L178 176L204 172L200 148L178 176M226 262L246 240L268 250L262 274")
	for _, star := range [][2]float64{{122, 168}, {142, 148}, {166, 154}, {178, 176}, {204, 172}, {200, 148}, {226, 262}, {246, 240}, {268, 250}, {262, 274}} {
		d.circle(ochre.light, star[0], star[1], 5)
	}
	for _, corner := range [][2]float64{{98, 86}, {302, 86}, {98, 314}, {302, 314}} {
		x, y := corner[0], corner[1]
		d.fill(ochre.light, fmt.Sprintf("M%v %vl4 9l9 4l-9 4l-4 9l-4 -9l-9 -4l9 -4Z", x, y-13))
	}
	d.fill("#fffaf01c", "M76 64H190L76 230ZM222 64H252L76 316V274Z")
}

func hourglass(d *drawing, t tone) {
	glass := "M136 92H264C264 150 248 172 214 200C248 228 264 250 264 310H136C136 250 152 228 186 200C152 172 136 150 136 92Z"
	d.ground(200, 336, 108)
	d.box(t.shade, 112, 86, 14, 234, 6)
	d.box(t.shade, 274, 86, 14, 234, 6)
	d.fill("#e9f2ee", glass)
	d.inside(glass, func() {
		d.fill(rust.light, "M120 142Q200 156 280 142L214 204H186Z")
		d.oval(rust.base, 200, 145, 58, 9)
		d.box(rust.light, 197, 190, 6, 110, 0)
		d.fill(rust.light, "M110 312Q160 288 200 244Q240 288 290 312Z")
		d.fill(rust.base, "M206 252Q240 290 290 312H222Q232 290 206 252Z")
		d.fill(shade, "M240 80H280V150Q270 180 220 200Q270 220 280 320H240Q250 240 204 200Q246 172 240 80Z")
		d.stroke("#ffffff", 8, "M152 112Q154 140 168 160M154 288Q158 262 172 244")
	})
	d.stroke(steel.base, 3, glass)
	d.box(brass.base, 178, 193, 44, 14, 7)
	d.box(brass.light, 182, 196, 22, 4, 2)
	for _, y := range []float64{66, 308} {
		d.box(t.shade, 92, y+4, 216, 26, 8)
		d.box(t.base, 92, y, 216, 24, 8)
		d.box(t.light, 98, y+3, 150, 6, 3)
	}
	d.circle(brass.base, 119, 62, 9)
	d.circle(brass.base, 281, 62, 9)
}

func spyglass(d *drawing, t tone) {
	d.moved("translate(12 16) rotate(-32 200 200)", func() {
		d.box(shadow, 28, 154, 146, 92, 10)
		d.box(shadow, 170, 166, 110, 68, 6)
		d.box(shadow, 276, 175, 104, 50, 6)
	})
	d.moved("rotate(-32 200 200)", func() {
		d.box(t.base, 276, 175, 90, 50, 4)
		d.box(t.light, 276, 182, 90, 9, 0)
		d.box(t.shade, 276, 208, 90, 17, 0)
		d.box(iron.base, 358, 168, 24, 64, 8)
		d.box(iron.light, 362, 176, 16, 9, 4)
		d.box(t.base, 170, 166, 112, 68, 4)
		d.box(t.light, 170, 175, 112, 12, 0)
		d.box(t.shade, 170, 212, 112, 22, 0)
		d.box(t.base, 268, 160, 18, 80, 6)
		d.box(t.light, 268, 170, 18, 12, 0)
		d.box(t.shade, 268, 216, 18, 20, 4)
		d.box(navy.base, 34, 156, 140, 88, 4)
		d.box(navy.light, 48, 166, 120, 12, 0)
		d.box(navy.shade, 34, 216, 140, 28, 0)
		d.dashed(cream.base, 3, "7 6", "M58 200H156")
		for _, x := range []float64{22, 162} {
			d.box(t.base, x, 148, 26, 104, 8)
			d.box(t.light, x, 160, 26, 14, 0)
			d.box(t.shade, x, 220, 26, 26, 6)
		}
		d.box(t.light, 18, 154, 8, 92, 4)
	})
}

func logbook(d *drawing, t tone) {
	cover := "M104 60H288Q302 60 302 74V326Q302 340 288 340H104Q96 340 96 332V68Q96 60 104 60Z"
	d.moved("rotate(-5 200 200)", func() {
		d.moved("translate(6 8)", func() {
			d.lifted(cream.shade, cover)
			d.stroke(cream.light, 2, "M110 332H290M110 338H292")
		})
		d.fill(rust.base, "M236 330H250V372L243 364L236 372Z")
		d.fill(t.base, cover)
		d.inside(cover, func() {
			d.box(t.shade, 90, 50, 38, 300, 0)
			d.box(t.light, 128, 50, 4, 300, 0)
			d.fill(shade, "M280 50H310V350H170Q280 330 280 50Z")
			d.stroke(gleam, 6, "M146 76H220")
		})
		d.box(cream.base, 158, 118, 96, 74, 6)
		d.stroke(t.base, 5, "M172 150q9 -10 17 0t17 0t17 0t17 0M172 168q9 -10 17 0t17 0t17 0t17 0")
		d.box(rust.base, 274, 60, 9, 280, 0)
	})
	d.moved("translate(10 4) rotate(24 320 220)", func() {
		d.moved("translate(10 8)", func() { d.box(shadow, 312, 96, 18, 230, 4) })
		d.box(ochre.base, 310, 112, 18, 186, 0)
		d.box(ochre.light, 310, 112, 6, 186, 0)
		d.box(ochre.shade, 323, 112, 5, 186, 0)
		d.fill(rope.light, "M310 298H328L319 332Z")
		d.fill(ink, "M315.5 319H322.5L319 332Z")
		d.box(steel.base, 310, 98, 18, 16, 0)
		d.box(rose.base, 310, 84, 18, 16, 6)
	})
}

func dividers(d *drawing, t tone) {
	chart := "M60 112L330 92L350 344L78 352Z"
	d.lifted(cream.base, chart)
	d.inside(chart, func() {
		d.fill("#bcd6d2", "M40 250C110 210 150 280 210 250C260 226 300 280 380 240V380H40Z")
		d.stroke("#9cc2be", 4, "M40 276C110 236 150 306 210 276C260 252 300 306 380 266M40 304C110 264 150 334 210 304C260 280 300 334 380 294")
		d.stroke(cream.shade, 2.5, "M60 160L350 140M60 210L350 190M130 90L146 360M200 90L214 360M270 90L284 360")
		d.dashed(rust.base, 5, "11 8", "M84 322L146 304L262 300L340 232")
	})
	d.moved("translate(14 10)", func() {
		d.stroke(shadow, 12, "M200 96L150 290M200 96L254 290")
	})
	d.fill(steel.shade, "M135 210L155 212L140 316ZM265 210L245 212L264 316Z")
	d.fill(steel.light, "M135 210L145 211L140 316ZM255 211L245 212L264 316Z")
	d.fill(t.base, "M184 86L204 96L160 232L130 226Z")
	d.fill(t.light, "M184 86L192 90L142 228L130 226Z")
	d.fill(t.base, "M216 86L196 96L240 232L270 226Z")
	d.fill(t.shade, "M216 86L208 90L258 228L270 226Z")
	d.box(t.shade, 190, 36, 20, 40, 6)
	d.box(t.light, 193, 38, 6, 34, 3)
	d.circle(t.shade, 200, 88, 29)
	d.circle(t.base, 198, 86, 26)
	d.circle(t.light, 194, 82, 13)
	d.circle(t.shade, 200, 88, 6)
}
