package sample

import (
	"fmt"
	"math"
	"strings"
)

func ropeCoil(d *drawing, t tone) {
	tail := "M330 214C348 280 330 334 268 352"
	d.moved("translate(10 13)", func() {
		d.circle(shadow, 192, 192, 146)
		d.stroke(shadow, 24, tail)
	})
	d.stroke(t.shade, 26, tail)
	d.stroke(t.base, 20, tail)
	d.stroke(t.shade, 3, "M322 242L344 250M324 262L345 274M320 282L340 298M311 300L328 320M298 316L310 338")
	d.stroke(rust.base, 24, "M280 348L268 352")
	d.circle(t.shade, 192, 192, 146)
	for radius := 132.0; radius > 20; radius -= 27 {
		d.ring(t.base, 21, 192, 192, radius)
		d.ring(t.light, 6, 190, 190, radius+2)
		d.stroke(t.shade, 3, twist(192, 192, radius))
	}
	d.circle(t.base, 192, 192, 12)
	d.fill(shade, "M284 78A146 146 0 0 1 78 284A160 160 0 0 0 284 78Z")
}

// twist is the lay of a rope that runs in a circle.
func twist(x, y, radius float64) string {
	var path strings.Builder
	strands := math.Round(radius * 2 * math.Pi / 19)
	for i := range int(strands) {
		bearing := float64(i) * 360 / strands
		x1, y1 := around(x, y, radius-9, bearing)
		x2, y2 := around(x, y, radius+9, bearing+480/radius)
		fmt.Fprintf(&path, "M%.0f %.0fL%.0f %.0f", x1, y1, x2, y2)
	}
	return path.String()
}

func pocketKnife(d *drawing, t tone) {
	handle := "M44 196Q40 172 66 170C110 164 160 184 222 178V232C160 238 100 244 66 240Q38 236 44 196Z"
	blade := "M220 182H322Q362 186 384 222Q352 230 318 230H220Z"
	d.moved("translate(10 14) rotate(-34 200 205)", func() { d.fill(shadow, handle+blade) })
	d.moved("rotate(-34 200 205)", func() {
		d.stroke(rust.base, 7, "M60 205C10 190 -10 230 24 250C46 262 50 236 30 228")
		d.fill(steel.base, blade)
		d.fill(steel.light, "M220 212H352Q372 218 384 222Q352 230 318 230H220Z")
		d.stroke(steel.shade, 4, "M248 194H286")
		d.fill(t.base, handle)
		d.inside(handle, func() {
			d.stroke(t.shade, 3, "M60 192Q120 184 200 198M56 216Q120 226 190 214M90 204Q130 200 160 206")
			d.fill(shade, "M30 222Q120 234 230 218V250H30Z")
			d.stroke(t.light, 7, "M70 180Q120 178 178 188")
			d.box(brass.base, 196, 160, 30, 90, 0)
			d.box(brass.light, 196, 176, 30, 12, 0)
			d.box(brass.shade, 196, 220, 30, 24, 0)
		})
		for _, x := range []float64{98, 160} {
			d.circle(brass.shade, x, 207, 7)
			d.circle(brass.light, x-1.5, 205.5, 4)
		}
		d.circle(ink, 62, 205, 9)
		d.ring(brass.base, 5, 62, 205, 10)
	})
}

func bucket(d *drawing, t tone) {
	body := "M92 158H308L282 314Q279 334 258 334H142Q121 334 118 314Z"
	d.ground(200, 334, 98)
	d.stroke(t.shade, 7, "M96 160C84 8 316 8 304 160")
	d.stroke(wood.base, 20, "M172 48Q200 42 228 48")
	d.stroke(wood.light, 5, "M174 43Q198 38 222 42")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(shade, "M248 150H320V340H196Q262 280 248 150Z")
		d.fill(gleam, "M120 190H136L150 316H138Z")
		d.stroke(t.shade, 6, "M90 216Q200 240 310 216M100 296Q200 316 300 296")
		d.stroke(t.light, 4, "M90 209Q200 233 310 209M100 289Q200 309 300 289")
	})
	d.oval(t.light, 200, 158, 110, 25)
	d.oval(t.shade, 200, 159, 101, 19)
	d.fill("#67808a", "M103 166A99 17 0 0 0 297 166A104 13 0 0 0 103 166Z")
	d.circle(t.shade, 97, 162, 11)
	d.circle(t.light, 94, 159, 5)
	d.circle(t.shade, 303, 162, 11)
	d.circle(t.light, 300, 159, 5)
}

func brush(d *drawing, t tone) {
	bristles := "M66 200H254L270 322Q160 342 44 322Z"
	d.ground(162, 330, 124)
	d.fill(rope.base, bristles)
	d.inside(bristles, func() {
		d.stroke(rope.shade, 4, "M82 200L62 340M102 200L90 340M122 200L116 340M142 200L142 340M162 200L166 340M182 200L190 340M202 200L216 340M222 200L242 340M240 200L264 340")
		d.stroke(rope.light, 3, "M92 200L76 340M112 200L103 340M132 200L129 340M152 200L154 340")
		d.fill(shade, "M196 190H290V350H200Q224 270 196 190Z")
		d.box(shade, 40, 196, 240, 22, 0)
	})
	block := "M52 178C50 146 82 138 128 142C190 148 240 146 290 124C326 108 358 98 366 118C372 138 344 158 316 172C286 186 270 206 240 210H76Q54 208 52 178Z"
	d.fill(t.base, block)
	d.inside(block, func() {
		d.stroke(t.light, 8, "M66 164C110 148 210 164 282 142")
		d.stroke(t.shade, 3, "M80 184C140 170 220 182 282 160M110 196C170 188 230 192 262 184M292 148Q330 128 356 122")
		d.fill(shade, "M50 196Q240 206 300 170L370 140V220H50Z")
	})
	d.circle(ink, 344, 124, 7)
	d.stroke(rust.base, 6, "M344 124C376 92 358 56 332 68C310 78 322 110 342 122")
}

func signalFlags(d *drawing, t tone) {
	d.moved("translate(8 10)", func() { d.stroke(shadow, 6, "M96 24Q90 200 96 380") })
	d.stroke(rope.shade, 7, "M96 24Q90 200 96 380")
	d.stroke(rope.light, 3, "M95 24Q89 200 95 380")
	flag(d, 42, cream.base, func() { d.stroke(rust.base, 26, "M96 -20L320 110M96 110L320 -20") })
	flag(d, 152, ochre.base, func() { d.box(t.base, 208, -30, 140, 160, 0) })
	flag(d, 262, t.base, func() {
		d.box(cream.base, 124, 19, 168, 52, 0)
		d.box(rust.base, 162, 33, 92, 24, 0)
	})
}

// flag flies from the halyard at the given height.
func flag(d *drawing, top int, field string, pattern func()) {
	cloth := "M96 0Q150 -20 208 0T320 0V90Q266 110 208 90T96 90Z"
	d.moved(fmt.Sprintf("translate(0 %d)", top), func() {
		d.lifted(field, cloth)
		d.inside(cloth, func() {
			pattern()
			d.fill(shade, "M180 -20H232Q214 50 232 120H180Q200 50 180 -20Z")
			d.fill("#fffaf040", "M124 -20H156Q146 50 156 120H124Q136 50 124 -20Z")
		})
		d.box(cream.shade, 90, -2, 12, 94, 4)
		d.circle(brass.base, 96, 2, 6)
		d.circle(brass.base, 96, 88, 6)
	})
}

func dryBag(d *drawing, t tone) {
	body := "M112 138H288L296 308Q296 334 266 334H134Q104 334 104 308Z"
	d.ground(200, 334, 108)
	d.stroke(iron.base, 13, "M110 124C96 34 304 34 290 124")
	d.box(iron.shade, 172, 42, 56, 30, 8)
	d.box(iron.light, 180, 48, 24, 8, 4)
	d.fill(t.base, body)
	d.inside(body, func() {
		d.box(t.shade, 90, 296, 220, 50, 0)
		d.stroke(t.shade, 4, "M108 190Q200 200 296 190M150 150Q160 166 152 184M196 150Q206 168 200 186M240 150Q246 166 240 182")
		d.fill(shade, "M246 130H310V340H200Q256 290 246 130Z")
		d.box(gleam, 122, 206, 13, 78, 6.5)
	})
	d.box(cream.base, 160, 222, 80, 50, 6)
	d.stroke(t.base, 5, "M172 242q7 -9 14 0t14 0t14 0t14 0M172 256q7 -9 14 0t14 0t14 0t14 0")
	d.box(t.shade, 94, 104, 212, 46, 22)
	d.box(t.base, 94, 102, 212, 38, 19)
	d.stroke(t.light, 6, "M116 112H250")
	d.stroke(t.shade, 4, "M108 124H292")
	d.box(iron.base, 108, 100, 16, 50, 4)
	d.box(iron.base, 276, 100, 16, 50, 4)
}

func tote(d *drawing, t tone) {
	body := "M88 160H312L326 320Q327 334 312 334H88Q73 334 74 320Z"
	d.ground(200, 334, 130)
	d.stroke(t.shade, 15, "M150 176C146 34 254 34 250 176")
	d.fill(cream.base, body)
	d.inside(body, func() {
		d.box(t.base, 60, 290, 280, 60, 0)
		d.box(t.base, 60, 250, 280, 16, 0)
		d.box(cream.shade, 60, 160, 280, 18, 0)
		d.dashed(cream.base, 3, "8 5", "M60 174H340")
		d.fill(shade, "M266 150H340V340H214Q280 270 266 150Z")
		d.stroke(cream.shade, 4, "M126 200Q134 220 128 244M274 196Q262 220 270 242")
		d.stroke("#ffffff", 8, "M106 196L102 234")
	})
	d.stroke(t.base, 15, "M140 214V170C138 44 262 44 260 170V214")
	d.stroke(t.light, 4, "M136 206V170C137 74 210 64 232 96")
	for _, x := range []float64{140, 260} {
		d.box(t.base, x-13, 196, 26, 26, 4)
		d.dashed(cream.base, 2.5, "5 4", fmt.Sprintf("M%v 202l12 14M%v 202l-12 14", x-6, x+6))
	}
}

func pulley(d *drawing, t tone) {
	shell := "M200 96C264 96 294 146 294 204C294 262 262 304 200 304C138 304 106 262 106 204C106 146 136 96 200 96Z"
	line := "M152 210V410M248 210V280C248 356 300 366 410 350"
	hook := "M200 100V84C200 66 228 66 228 42C228 12 172 12 172 42"
	d.moved("translate(12 14)", func() {
		d.fill(shadow, shell)
		d.stroke(shadow, 22, line)
		d.stroke(shadow, 14, hook)
	})
	d.stroke(rope.shade, 24, line)
	d.dashed(rope.light, 17, "12 4", line)
	d.stroke(iron.base, 15, hook)
	d.stroke(iron.light, 4, "M168 40C170 24 182 16 196 16")
	d.box(iron.base, 182, 80, 36, 34, 6)
	d.fill(t.base, shell)
	d.inside(shell, func() {
		d.stroke(t.shade, 3, "M132 130C118 180 120 240 144 286M268 130C282 180 280 240 256 286M148 112C136 140 132 150 130 168M264 280C274 262 276 250 278 232")
		d.fill(shade, "M250 80H310V320H176C276 290 282 180 250 80Z")
		d.stroke(t.light, 10, "M126 206C126 166 142 134 166 118")
		d.box(iron.base, 187, 80, 26, 240, 0)
		d.box(iron.light, 190, 80, 5, 240, 0)
	})
	d.circle(t.shade, 200, 202, 64)
	d.circle(iron.shade, 200, 202, 57)
	d.circle(brass.shade, 200, 202, 51)
	d.circle(brass.base, 198, 200, 47)
	d.ring(brass.light, 5, 198, 200, 37)
	d.stroke(brass.shade, 7, ticks(199, 201, 14, 29, 0, 300, 60))
	d.circle(iron.base, 200, 202, 14)
	d.circle(steel.light, 196, 198, 5)
	for _, y := range []float64{122, 280} {
		d.circle(steel.shade, 200, y, 7)
		d.circle(steel.light, 198, y-2, 3)
	}
}

func deckchair(d *drawing, t tone) {
	canvas := "M256 62C236 170 160 266 58 214L130 238C232 290 308 194 328 86Z"
	d.ground(204, 324, 150)
	d.stroke(wood.shade, 11, "M258 58L92 298M54 212L262 298M232 96L290 298M92 298L164 322")
	d.fill(cream.base, canvas)
	d.inside(canvas, func() {
		for i := range 4 {
			d.moved(fmt.Sprintf("translate(%d %d)", 9+i*18, 3+i*6), func() {
				d.stroke(t.base, 10, "M256 62C236 170 160 266 58 214")
			})
		}
		d.fill(shade, "M50 206C120 250 200 220 236 130L310 170C280 250 200 300 120 250Z")
	})
	d.stroke(wood.base, 12, "M330 82L164 322M126 236L334 322M304 120L362 322M254 58L332 84M52 212L130 238")
	d.stroke(wood.light, 4, "M327 82L162 318M128 234L332 318M252 55L328 80M52 208L128 233")
	d.circle(brass.base, 226, 276, 7)
}
