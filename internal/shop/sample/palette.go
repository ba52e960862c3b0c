package sample

// tone is a material under our light.
type tone struct {
	light, base, shade string
}

var (
	navy  = tone{"#44698a", "#26465f", "#182f44"}
	teal  = tone{"#63a8a4", "#2f7c80", "#1f5a60"}
	sage  = tone{"#b9c6a2", "#8aa07a", "#647a58"}
	ochre = tone{"#f6cf73", "#e2a63a", "#b67d24"}
	rust  = tone{"#de7f60", "#c5553b", "#973a2b"}
	rose  = tone{"#f4cbb8", "#e39f89", "#bd7463"}
	slate = tone{"#93a5ae", "#647985", "#465862"}
	cream = tone{"#fffaf0", "#f5ead6", "#dccbab"}
	brass = tone{"#f4d88f", "#d3a34b", "#976b2c"}
	wood  = tone{"#dfb384", "#ba8150", "#875834"}
	rope  = tone{"#efdab0", "#d6b680", "#a6844f"}
	steel = tone{"#e6ecec", "#b7c5c9", "#84979f"}
	iron  = tone{"#5b6870", "#3a464e", "#242e35"}
)

// Washes laid over any colour.
const (
	shadow = "#12202c30"
	shade  = "#12202c2e"
	gleam  = "#fffaf080"
	ink    = "#1a2a36"
)

// light is the colour of the air behind the thing shown.
type light struct {
	sky, glow, land string
}

var (
	dawn    = light{"#f3cab2", "#f9dfc9", "#e2a88d"}
	fog     = light{"#cbd9d8", "#e1e9e4", "#a8bdbe"}
	dune    = light{"#ecd7ab", "#f6e8ca", "#d8b87b"}
	lagoon  = light{"#86b8b4", "#a4ccc5", "#5f9b99"}
	dusk    = light{"#34506a", "#44657f", "#263f56"}
	meadow  = light{"#bcc7a4", "#d1d9bc", "#99a87e"}
	noon    = light{"#f0c266", "#f6d586", "#d9a144"}
	coral   = light{"#e6947e", "#efae97", "#cb735d"}
	heather = light{"#bdabbc", "#d1c4cf", "#99869c"}
)
