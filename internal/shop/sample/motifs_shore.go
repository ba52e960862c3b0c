package sample

import "fmt"

func soap(d *drawing, t tone) {
	bar := "M122 196H278Q318 196 318 236V286Q318 326 278 326H122Q82 326 82 286V236Q82 196 122 196Z"
	loop := "M256 224C226 96 352 74 346 150C342 194 286 196 272 224"
	d.ground(200, 326, 122)
	d.fill(t.shade, bar)
	d.inside(bar, func() {
		d.box(t.base, 82, 196, 236, 112, 40)
		d.box(t.light, 94, 200, 212, 78, 34)
		d.speckle(t.shade, 100, 204, 200, 100, 24)
		d.fill(shade, "M286 190H330V330H220Q300 300 286 190Z")
	})
	d.oval(t.shade, 264, 224, 24, 11)
	d.oval(ink, 264, 226, 20, 8)
	d.stroke(rope.shade, 13, loop)
	d.dashed(rope.light, 9, "9 4", loop)
	d.stroke(t.shade, 7, "M122 236q13 -14 26 0t26 0t26 0t26 0M122 258q13 -14 26 0t26 0t26 0t26 0")
	d.stroke(gleam, 9, "M98 250Q98 214 130 210")
	for _, bubble := range [][3]float64{{98, 180, 30}, {142, 160, 38}, {186, 180, 26}, {120, 120, 14}, {168, 96, 20}, {86, 96, 9}} {
		x, y, size := bubble[0], bubble[1], bubble[2]
		d.circle("#fffdf7b8", x, y, size)
		d.ring("#ffffff", 2.5, x, y, size)
		d.circle("#ffffff", x-size*0.35, y-size*0.35, size*0.2)
	}
}

func rolledTowel(d *drawing, t tone) {
	roll := "M118 168H322C348 168 356 210 356 250C356 290 348 332 322 332H118Z"
	d.ground(206, 332, 156)
	d.fill(cream.base, roll)
	d.inside(roll, func() {
		for _, x := range []int{176, 206, 290, 320} {
			d.stroke(t.base, 15, fmt.Sprintf("M%d 160Q%d 250 %d 340", x, x+24, x))
		}
		d.fill(wood.base, "M240 160Q264 250 240 340H264Q288 250 264 160Z")
		d.box(gleam, 110, 184, 250, 18, 9)
		d.fill(shade, "M100 276Q240 290 360 270V340H100Z")
	})
	d.stroke(wood.shade, 11, "M244 170C232 96 300 96 288 168")
	d.stroke(wood.light, 4, "M242 160C236 104 292 98 288 150")
	d.box(brass.base, 248, 214, 30, 36, 6)
	d.box(wood.base, 255, 221, 16, 22, 3)
	d.oval(cream.shade, 118, 250, 56, 82)
	d.oval(cream.base, 115, 250, 54, 82)
	d.oval(t.base, 117, 250, 44, 68)
	d.oval(cream.base, 118, 250, 35, 55)
	d.oval(t.base, 119, 250, 26, 41)
	d.oval(cream.base, 120, 250, 17, 28)
	d.oval(t.shade, 121, 250, 8, 14)
	d.stroke(gleam, 6, "M76 214Q84 186 104 178")
}

func saltJar(d *drawing, t tone) {
	jar := "M140 134Q140 150 120 164Q104 176 104 198V304Q104 334 134 334H266Q296 334 296 304V198Q296 176 280 164Q260 150 260 134Z"
	d.ground(200, 334, 110)
	d.fill("#eef3ee", jar)
	d.inside(jar, func() {
		d.fill(t.base, "M90 206Q150 188 200 204T310 198V340H90Z")
		d.speckle(cream.light, 110, 212, 180, 116, 44)
		d.fill(shade, "M250 120H310V340H206Q262 320 258 220Q256 170 240 150Z")
		d.box("#ffffffb0", 118, 190, 13, 114, 6.5)
	})
	d.stroke(steel.shade, 3, jar)
	d.fill(wood.base, "M144 82H256L250 136H150Z")
	d.fill(wood.light, "M144 82H256L255 94H145Z")
	d.fill(shade, "M228 82H256L250 136H226Z")
	d.speckle(wood.shade, 152, 98, 94, 34, 14)
	d.box(steel.light, 130, 126, 140, 18, 9)
	d.fill(shade, "M236 126H261A9 9 0 0 1 261 144H236Z")
	d.stroke(rope.shade, 5, "M132 154Q200 168 268 154")
	d.stroke(rope.shade, 3, "M222 162L234 206")
	d.moved("rotate(8 234 236)", func() {
		d.fill(cream.base, "M210 220L234 202L258 220V282H210Z")
		d.circle(wood.shade, 234, 216, 4)
		d.stroke(t.shade, 4, "M220 244q7 -8 14 0t14 0M220 258q7 -8 14 0t14 0")
	})
}

func balmTin(d *drawing, t tone) {
	d.ground(184, 328, 140)
	d.moved("rotate(12 268 180)", func() {
		d.circle(shadow, 274, 192, 94)
		d.circle(steel.shade, 268, 182, 94)
		d.circle(t.base, 264, 179, 92)
		d.ring(t.light, 4, 264, 179, 78)
		d.fill(cream.base, "M264 116Q280 160 264 190Q248 160 264 116ZM258 192Q222 190 204 158Q244 158 258 192ZM270 192Q306 190 324 158Q284 158 270 192Z")
		d.stroke(cream.base, 6, "M264 180V238")
		d.stroke(cream.base, 5, "M216 222q12 -12 24 0t24 0t24 0t24 0")
		d.stroke(gleam, 7, "M182 170Q190 122 228 102")
	})
	side := "M44 264V300A126 32 0 0 0 296 300V264Z"
	d.fill(steel.base, side)
	d.inside(side, func() {
		d.fill(shade, "M236 250H310V340H140Q240 330 236 250Z")
		d.stroke(steel.shade, 4, "M44 284A126 32 0 0 0 296 284")
		d.box(gleam, 64, 270, 10, 60, 5)
	})
	d.oval(steel.light, 170, 264, 126, 36)
	d.oval(steel.shade, 170, 265, 117, 31)
	d.oval("#f3dc9c", 170, 269, 114, 28)
	d.fill("#fbeec4", "M66 262Q120 236 210 246Q130 254 100 278Q74 274 66 262Z")
	d.stroke("#dcb968", 5, "M128 284C170 292 240 284 236 268C230 254 176 258 184 268C190 276 212 272 210 268")
}

func flask(d *drawing, t tone) {
	body := "M134 150Q134 128 152 122H248Q266 128 266 150V314Q266 334 246 334H154Q134 334 134 314Z"
	d.ground(200, 334, 84)
	d.stroke(iron.base, 15, "M262 172C328 166 328 272 262 270")
	d.stroke(iron.light, 4, "M266 167C318 164 320 222 312 240")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.box(cream.base, 120, 232, 160, 12, 0)
		d.box(ochre.base, 120, 252, 160, 12, 0)
		d.box(steel.base, 120, 316, 160, 20, 0)
		d.fill(shade, "M232 110H280V340H204Q240 260 232 110Z")
		d.box(gleam, 150, 148, 13, 152, 6.5)
	})
	d.box(steel.shade, 142, 112, 116, 18, 6)
	d.fill(steel.base, "M146 118V74Q146 52 168 52H232Q254 52 254 74V118Z")
	d.inside("M146 118V74Q146 52 168 52H232Q254 52 254 74V118Z", func() {
		d.fill(shade, "M226 50H260V120H210Q232 90 226 50Z")
		d.box("#ffffffb0", 160, 66, 11, 44, 5.5)
		d.box(steel.shade, 140, 106, 120, 5, 0)
	})
}

func kite(d *drawing, t tone) {
	d.fill(gleam, "M302 94a14 14 0 0 1 6 -27a21 21 0 0 1 39 -2a14 14 0 0 1 7 29Z")
	d.stroke(cream.light, 3, "M178 206C200 280 300 300 330 400")
	d.stroke(t.shade, 4, "M150 304C108 330 150 356 190 344S250 372 232 392")
	for _, bow := range []string{"translate(136 332) rotate(60)", "translate(188 345) rotate(-10)", "translate(236 362) rotate(40)"} {
		d.moved(bow, func() {
			d.fill(rust.base, "M0 0L-20 -12V12Z")
			d.fill(ochre.base, "M0 0L20 -12V12Z")
			d.circle(cream.base, 0, 0, 4)
		})
	}
	d.moved("rotate(18 200 180)", func() {
		d.fill(t.base, "M200 36V170H88Z")
		d.fill(cream.base, "M200 36L312 170H200Z")
		d.fill(ochre.base, "M88 170H200V322Z")
		d.fill(rust.base, "M312 170L200 322V170Z")
		d.fill(shade, "M200 36L312 170L200 322Z")
		d.fill(gleam, "M176 72L186 82L126 154L112 154Z")
		d.stroke(wood.shade, 5, "M200 36V322M88 170H312")
		d.circle(wood.light, 200, 170, 7)
	})
}

func pondYacht(d *drawing, t tone) {
	hull := "M62 250Q200 268 340 244Q328 300 262 308H146Q92 302 62 250Z"
	d.ground(200, 336, 104)
	d.fill(wood.shade, "M122 294H146L136 336H104ZM254 294H278L298 336H266Z")
	d.box(wood.base, 100, 322, 200, 14, 5)
	d.fill(iron.base, "M166 304H240L228 328H184Z")
	d.stroke(wood.shade, 7, "M200 250V40")
	main, jib := "M208 48C266 108 304 176 312 230Q258 240 208 234Z", "M192 76C170 140 130 200 78 236Q140 242 192 234Z"
	d.fill(cream.base, main)
	d.inside(main, func() {
		d.stroke(cream.shade, 3, "M200 110L280 112M200 160L300 166M200 206L312 214")
		d.fill(shade, "M206 40C270 110 296 180 296 244H330V40Z")
	})
	d.fill(t.base, jib)
	d.inside(jib, func() {
		d.fill(shade, "M196 70V240H160Q190 160 196 70Z")
		d.stroke(t.light, 6, "M168 152C150 184 128 208 104 226")
	})
	d.stroke(wood.base, 6, "M204 240L318 236")
	d.fill(rust.base, "M203 40L238 50L203 60Z")
	d.fill(wood.base, hull)
	d.inside(hull, func() {
		d.fill(t.base, "M40 276Q200 292 360 270V330H40Z")
		d.stroke(cream.base, 6, "M40 276Q200 292 360 270")
		d.fill(shade, "M270 240H350V320H170Q280 310 300 240Z")
		d.stroke(wood.light, 6, "M80 258Q200 270 300 258")
	})
}

func parasol(d *drawing, t tone) {
	d.oval(shadow, 236, 336, 118, 15)
	d.moved("rotate(-14 200 200)", func() {
		dome := "M40 214C48 116 120 58 200 58C280 58 352 116 360 214Q333 192 306 214Q280 192 253 214Q226 192 200 214Q174 192 147 214Q120 192 94 214Q67 192 40 214Z"
		d.box(wood.base, 194, 60, 13, 284, 4)
		d.box(wood.light, 195, 200, 4, 140, 2)
		d.box(wood.shade, 203, 200, 4, 140, 0)
		d.circle(wood.base, 200, 50, 10)
		d.fill(t.base, dome)
		d.inside(dome, func() {
			d.fill(cream.base, "M200 58C130 90 100 160 94 220H147C150 150 170 90 200 58C230 90 250 150 253 220H306C300 160 270 90 200 58Z")
			d.fill(shade, "M236 50C310 90 330 160 326 230H370V50Z")
			d.stroke(gleam, 9, "M66 174C80 130 108 102 136 90")
		})
	})
	d.fill(dune.glow, "M156 346Q196 306 236 314Q284 322 312 346Z")
	d.fill(shade, "M240 315Q284 322 312 346H256Q262 330 240 315Z")
}

func sunHat(d *drawing, t tone) {
	crown := "M126 244C120 164 144 124 200 124C256 124 280 164 274 244Z"
	d.ground(200, 306, 160)
	d.oval(t.shade, 200, 262, 168, 52)
	d.oval(t.base, 200, 254, 168, 50)
	d.dashed(t.light, 4, "9 6", "M46 254A154 42 0 0 0 354 254")
	d.dashed(t.shade, 3, "9 6", "M66 254A134 33 0 0 0 334 254M86 256A114 24 0 0 0 314 256")
	d.oval(shade, 212, 258, 96, 26)
	d.fill(t.base, crown)
	d.inside(crown, func() {
		for i := range 5 {
			d.dashed(t.light, 4, "9 6", fmt.Sprintf("M%d %dQ200 %d 290 %d", 110+i%2*5, 142+i*17, 162+i*17, 142+i*17))
		}
		d.fill(shade, "M240 90H300V260H196Q256 220 240 90Z")
		d.stroke(gleam, 10, "M144 204Q142 168 162 148")
	})
	d.fill(rust.base, "M125 216Q200 240 275 216V248Q200 274 125 248Z")
	d.fill(shade, "M240 229Q262 224 275 216V248Q250 260 226 262Q242 248 240 229Z")
	d.fill(rust.shade, "M250 236L300 268L282 276L284 294L244 252Z")
	d.oval(rust.light, 254, 240, 12, 15)
}
