package sample

import "fmt"

func enamelMug(d *drawing, t tone) {
	body := "M104 138L113 310Q115 334 140 334H240Q265 334 267 310L276 138Z"
	d.ground(200, 334, 112)
	d.stroke(t.shade, 22, "M266 176C346 166 344 280 262 284")
	d.stroke(t.base, 12, "M266 173C340 164 338 276 262 280")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(shade, "M236 130H300V340H206Q240 260 236 130Z")
		d.box(gleam, 126, 168, 13, 132, 6.5)
		d.stroke(cream.base, 6, "M90 236q17 -15 34 0t34 0t34 0t34 0t34 0t34 0")
		d.stroke(cream.base, 6, "M90 260q17 -15 34 0t34 0t34 0t34 0t34 0t34 0")
	})
	d.oval(steel.light, 190, 138, 88, 21)
	d.oval(t.shade, 190, 139, 80, 15)
	d.fill("#8a4a2c", "M116 145A76 12 0 0 0 264 145A80 10 0 0 0 116 145Z")
	d.stroke(gleam, 7, "M164 102C148 80 182 68 166 42")
	d.stroke(gleam, 7, "M210 98C194 76 228 64 212 38")
}

func stonewareMug(d *drawing, t tone) {
	body := "M122 98Q112 210 122 292Q127 334 168 334H232Q273 334 278 292Q288 210 278 98Z"
	d.ground(200, 334, 104)
	d.stroke(t.shade, 24, "M276 150C350 142 350 262 276 262")
	d.stroke(t.base, 14, "M276 147C344 140 344 258 276 258")
	d.fill(rope.light, body)
	d.inside(body, func() {
		d.fill(t.base, "M100 80H300V232Q284 252 264 232Q240 208 216 240Q190 272 164 238Q142 214 100 242Z")
		d.speckle("#1a2a3666", 118, 116, 164, 208, 52)
		d.fill(shade, "M244 90H300V340H204Q258 250 244 90Z")
		d.box(gleam, 136, 124, 13, 84, 6.5)
	})
	d.oval(t.light, 200, 98, 78, 18)
	d.oval(t.shade, 200, 100, 69, 12.5)
	d.fill("#5b3524", "M135 104A66 11 0 0 0 265 104A70 9 0 0 0 135 104Z")
}

func kettle(d *drawing, t tone) {
	body := "M84 292C84 222 130 180 200 180C270 180 316 222 316 292Q316 334 282 334H118Q84 334 84 292Z"
	d.ground(200, 334, 126)
	d.stroke(iron.base, 12, "M120 206C104 60 296 60 280 206")
	d.stroke(wood.base, 24, "M152 112Q200 80 248 112")
	d.stroke(wood.light, 7, "M154 106Q198 78 238 100")
	d.fill(t.shade, "M104 284C74 262 82 218 42 196L64 172C108 188 112 220 150 226Z")
	d.fill(t.base, "M110 268C84 248 88 212 48 190L60 178C100 192 108 224 150 230Z")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(shade, "M270 160H340V340H190C280 320 300 240 270 160Z")
		d.stroke(gleam, 13, "M112 286C114 248 132 224 160 210")
		d.box(cream.base, 70, 304, 260, 8, 0)
	})
	d.fill(t.light, "M146 188Q152 160 200 160Q248 160 254 188Q200 202 146 188Z")
	d.fill(shade, "M220 162Q250 166 254 188Q232 196 206 196Q230 184 220 162Z")
	d.circle(iron.base, 200, 150, 14)
	d.circle(iron.light, 196, 146, 5)
	d.stroke(gleam, 7, "M44 160C28 140 60 128 44 104")
}

func coffeePot(d *drawing, t tone) {
	body := "M146 122H254L288 314Q291 334 270 334H130Q109 334 112 314Z"
	d.ground(200, 334, 106)
	d.stroke(t.shade, 20, "M256 150C348 136 340 286 284 282")
	d.stroke(t.base, 10, "M256 147C342 134 334 282 284 278")
	d.fill(t.shade, "M124 252L80 138L112 126L148 166Z")
	d.fill(t.base, "M128 240L86 140L106 132L148 174Z")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(shade, "M228 110H310V340H204Q240 250 228 110Z")
		d.fill(gleam, "M156 148H168L150 306H134Z")
		d.box(t.shade, 90, 318, 220, 20, 0)
	})
	d.fill(t.light, "M144 120Q148 84 200 82Q252 84 256 120Z")
	d.fill(shade, "M222 84Q253 92 256 120H226Q234 100 222 84Z")
	d.box(ink, 138, 114, 124, 12, 6)
	d.circle(ink, 200, 72, 13)
	d.circle(slate.light, 196, 68, 4.5)
}

func bowls(d *drawing, t tone) {
	d.ground(200, 334, 106)
	d.stroke(wood.shade, 11, "M236 142L300 62")
	d.stroke(wood.light, 4, "M236 138L297 62")
	for i, glaze := range []tone{t, cream, t} {
		d.moved(fmt.Sprintf("translate(0 %d)", 142+i*52), func() { bowl(d, glaze, i == 0) })
	}
}

func bowl(d *drawing, t tone, top bool) {
	body := "M72 0A128 22 0 0 0 328 0C326 62 296 88 240 88H160C104 88 74 62 72 0Z"
	if top {
		d.oval(t.light, 200, 0, 128, 24)
		d.oval(t.shade, 200, 1, 118, 17)
		d.fill("#e5a04a", "M96 8A108 14 0 0 0 304 8A110 10 0 0 0 96 8Z")
	}
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(shade, "M286 -10H340V100H180C270 90 290 50 286 -10Z")
		d.stroke(cream.light, 5, "M72 22A128 22 0 0 0 328 22")
		d.stroke(t.light, 5, "M73 2A128 22 0 0 0 327 2")
		d.stroke(gleam, 9, "M94 36Q100 58 116 68")
	})
}

func platter(d *drawing, t tone) {
	d.oval(shadow, 211, 222, 172, 128)
	d.oval(cream.shade, 200, 210, 172, 128)
	d.oval(cream.base, 200, 205, 172, 128)
	d.oval(cream.shade, 200, 205, 138, 97)
	d.oval(cream.light, 201, 208, 136, 94)
	d.dashed(t.base, 6, "16 10", "M46 205A154 112 0 1 1 354 205A154 112 0 1 1 46 205")
	body := "M88 210C120 160 214 152 260 202C274 190 290 176 308 172C302 198 302 222 308 246C290 242 274 228 260 216C214 266 120 260 88 210Z"
	d.fill(t.shade, "M150 172Q186 136 218 178Z")
	d.fill(t.shade, "M168 250Q186 270 206 244Z")
	d.fill(t.base, body)
	d.inside(body, func() {
		d.fill(t.light, "M80 214Q180 220 262 212Q214 300 80 260Z")
		d.stroke(t.shade, 5, "M132 172Q152 210 132 248")
		d.stroke(cream.base, 4, "M164 190q12 12 0 24M188 186q12 12 0 24M212 190q12 12 0 24M176 216q12 12 0 24M200 214q12 12 0 24")
		d.stroke(t.shade, 3, "M278 196L304 184M276 209H302M278 222L304 234")
	})
	d.circle(cream.light, 112, 202, 7)
	d.circle(ink, 112, 202, 3.5)
}

func skillet(d *drawing, t tone) {
	handle := "M258 140L330 68Q342 56 354 68Q366 80 354 92L282 166Z"
	d.moved("translate(9 12)", func() {
		d.fill(shadow, handle)
		d.circle(shadow, 182, 228, 132)
	})
	d.fill(t.base, handle)
	d.stroke(t.shade, 7, "M330 96L340 86")
	d.circle(t.light, 90, 140, 22)
	d.circle(t.light, 182, 228, 132)
	d.circle(t.base, 184, 230, 129)
	d.circle(t.shade, 182, 228, 110)
	d.circle("#2d383f", 186, 234, 104)
	d.fill(cream.light, "M110 214C108 178 150 164 174 184C200 172 232 196 220 224C228 250 196 268 174 256C148 274 112 252 110 214Z")
	d.fill(cream.base, "M186 268C192 244 224 240 240 254C262 258 266 288 248 298C236 316 204 312 196 298C184 292 180 280 186 268Z")
	d.circle(ochre.base, 160, 218, 26)
	d.circle(ochre.light, 154, 211, 9)
	d.circle(ochre.base, 222, 278, 20)
	d.circle(ochre.light, 217, 272, 7)
	d.stroke(gleam, 7, "M66 210Q74 158 118 130")
}

func teaTowel(d *drawing, t tone) {
	cloth := "M112 90Q112 68 126 68H278Q292 68 292 90V314Q247 326 202 316T112 318Z"
	d.box(shadow, 61, 88, 296, 18, 9)
	d.moved("translate(12 16)", func() { d.fill(shadow, cloth) })
	d.fill(cream.shade, "M270 90H314V262Q300 268 270 262Z")
	d.inside("M270 90H314V262Q300 268 270 262Z", func() {
		d.box(t.shade, 270, 218, 60, 10, 0)
		d.box(t.shade, 270, 236, 60, 10, 0)
		d.box(shade, 280, 80, 14, 200, 0)
	})
	d.box(wood.base, 50, 74, 300, 18, 9)
	d.box(wood.light, 56, 77, 288, 5, 2.5)
	d.circle(brass.base, 50, 83, 13)
	d.circle(brass.base, 350, 83, 13)
	d.circle(brass.light, 46, 79, 5)
	d.circle(brass.light, 346, 79, 5)
	d.fill(cream.base, cloth)
	d.inside(cloth, func() {
		d.stroke(t.base, 10, "M130 60V330M146 60V330")
		d.stroke(t.light, 4, "M162 60V330")
		d.stroke(t.base, 14, rows(242, 290, 24, 100, 300))
		d.stroke(t.light, 4, rows(222, 310, 88, 100, 300))
		d.fill(shade, "M214 80H232Q224 220 240 330H208Q222 220 214 80Z")
		d.fill(shade, "M276 80H300V330H282Q286 220 276 80Z")
		d.fill(gleam, "M182 92H194Q190 210 198 320H186Q178 210 182 92Z")
	})
	d.stroke(cream.shade, 4, "M124 68H280")
}

func swingBottle(d *drawing, t tone) {
	body := "M174 126V166Q174 188 152 202Q124 220 124 254V308Q124 334 150 334H250Q276 334 276 308V254Q276 220 248 202Q226 188 226 166V126Z"
	d.ground(200, 334, 88)
	d.fill(t.light, body)
	d.inside(body, func() {
		d.fill(t.base, "M100 232Q200 246 300 232V340H100Z")
		d.oval(gleam, 200, 233, 74, 9)
		d.fill(shade, "M210 110H240V190Q252 210 290 220V340H196Q254 330 250 262Q246 226 222 204Q210 190 210 110Z")
		d.box(gleam, 140, 236, 13, 76, 6.5)
		d.box(gleam, 183, 136, 8, 40, 4)
	})
	d.box(t.shade, 168, 118, 64, 16, 8)
	d.box(rust.base, 180, 102, 40, 17, 6)
	d.fill(cream.base, "M174 104Q172 70 200 70Q228 70 226 104Z")
	d.fill(shade, "M208 71Q229 74 226 104H210Q216 86 208 71Z")
	d.stroke(iron.base, 4.5, "M186 84L160 102L168 152H232L240 102L214 84M178 152Q200 204 222 152")
}
