# Prints the secrets of Kamal's accessories, one a line, from config/deploy.yml and the
# file of a destination: those of the accessories that a word of the variable line
# names, or of all when it names none. Called by hooks/pre-connect.

/^[^ #]/ { inside = /^accessories:/; indent = 0 }
!inside || /^[^ ]/ || /^ *(#|$)/ { next }

{ sub(/ #.*/, ""); match($0, /[^ ]/); depth = RSTART }
!indent { indent = depth }
depth == indent { name = $1; sub(/:.*/, "", name); accessories[name] = 1; listing = 0 }

# A list has its items in the same line or, each behind a dash, in those that follow.
listing && !/^ *- / { listing = 0 }
listing { add($0) }
/(secret|password): *$/ { listing = 1 }
{
	while (match($0, /(secret|password): *\[[^]]*\]/)) {
		list = substr($0, RSTART, RLENGTH)
		$0 = substr($0, RSTART + RLENGTH)
		sub(/^[^[]*/, "", list)
		add(list)
	}
}

END {
	for (name in accessories)
		if (index(line " ", " " name " ")) named = 1
	for (i = 1; i <= count; i++)
		if (!named || index(line " ", " " owner[i] " ")) print secret[i]
}

# The secret of an item such as PASSWORD:DATABASE_PASSWORD is what follows the colon.
function add(text, items, n, i) {
	gsub(/[][",\047]/, " ", text)
	n = split(text, items, " ")
	for (i = 1; i <= n; i++) {
		sub(/.*:/, "", items[i])
		if (items[i] == "-") continue
		secret[++count] = items[i]
		owner[count] = name
	}
}
