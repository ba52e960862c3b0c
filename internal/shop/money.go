package shop

import (
	"fmt"
	"strconv"
)

// Currency is an ISO 4217 code. The store sells in one currency.
type Currency string

// EUR is the currency of the sample store.
const EUR Currency = "EUR"

// Money is an amount in the smallest unit of its currency (cents).
type Money struct {
	Cents    int64
	Currency Currency
}

// Euros is an amount of euro cents.
func Euros(cents int64) Money {
	return Money{Cents: cents, Currency: EUR}
}

// Plus adds two amounts of one currency. It panics on different currencies, which
// are a programming error.
func (m Money) Plus(other Money) Money {
	if m.Currency != other.Currency {
		panic(fmt.Sprintf("add %s to %s", other.Currency, m.Currency))
	}
	return Money{Cents: m.Cents + other.Cents, Currency: m.Currency}
}

// Times multiplies an amount by a quantity.
func (m Money) Times(quantity int) Money {
	return Money{Cents: m.Cents * int64(quantity), Currency: m.Currency}
}

// String is the amount as shoppers read it: "€1,234.50".
func (m Money) String() string {
	sign, cents := "", m.Cents
	if cents < 0 {
		sign, cents = "-", -cents
	}
	fraction := strconv.FormatInt(100+cents%100, 10)[1:] // with its zero
	return sign + m.Currency.symbol() + groupThousands(cents/100) + "." + fraction
}

// Private

func (c Currency) symbol() string {
	if c == EUR {
		return "€"
	}
	return string(c) + " "
}

func groupThousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
