package sample

// horizon is a low sun over flat ground.
func horizon(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.circle(air.glow, 200, 186, 152)
	d.box(air.land, 0, 296, 400, 104, 0)
}

// waves is a sun over a rolling sea.
func waves(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.circle(air.glow, 268, 128, 92)
	d.fill(air.glow, "M0 276q25 -16 50 0t50 0t50 0t50 0t50 0t50 0t50 0t50 0V400H0Z")
	d.fill(air.land, "M-25 300q25 -16 50 0t50 0t50 0t50 0t50 0t50 0t50 0t50 0t50 0V400H0Z")
}

// dunes is two folds of sand under a small sun.
func dunes(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.circle(air.glow, 96, 92, 52)
	d.fill(air.glow, "M0 300C90 236 170 226 250 262C310 288 360 270 400 240V400H0Z")
	d.fill(air.land, "M0 290C110 286 200 312 400 292V400H0Z")
}

// window is an arched recess with a sill.
func window(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.fill(air.glow, "M52 300V186C52 104 118 38 200 38C282 38 348 104 348 186V300Z")
	d.box(air.land, 0, 296, 400, 104, 0)
}

// sheet is a table seen from above, with a disc of light.
func sheet(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.circle(air.glow, 200, 200, 172)
}

// tide is a table seen from above, with rings of water running out from a corner.
func tide(d *drawing, air light) {
	d.box(air.sky, 0, 0, 400, 400, 0)
	d.circle(air.glow, 0, 400, 366)
	d.circle(air.sky, 0, 400, 252)
	d.circle(air.glow, 0, 400, 138)
}
