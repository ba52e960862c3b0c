package shop

import (
	"fmt"
	"net/mail"
	"time"

	"slipway/internal/config"
)

// Settings are the environment variables of the store. See config.Config for
// what the tags mean. A variable is read in its roles only, and has its default
// in the others.
type Settings struct {
	MailFrom string `env:"MAIL_FROM" envDefault:"Leeward <orders@leeward.example>" roles:"worker-pg" example:"Shop <orders@shop.example.com>" help:"sender of every mail"`

	// OrderLimit counts orders by email address and by cart, in PostgreSQL.
	OrderLimit       int           `env:"ORDER_LIMIT" envDefault:"10" roles:"web" min:"0" max:"1000000" example:"10" help:"orders that one shopper may place in ORDER_LIMIT_PERIOD; 0: no limit"`
	OrderLimitPeriod time.Duration `env:"ORDER_LIMIT_PERIOD" envDefault:"1h" roles:"web" min:"1s" max:"744h" example:"1h" help:"time in which ORDER_LIMIT refills"`

	FlashSaleHold         time.Duration `env:"FLASH_SALE_HOLD" envDefault:"10m" roles:"web" min:"10s" max:"24h" example:"10m" help:"how long a cart holds a unit of a flash sale"`
	FlashSaleLimitPerCart int           `env:"FLASH_SALE_LIMIT_PER_CART" envDefault:"1" roles:"web" min:"1" max:"20" example:"1" help:"most units of one flash sale for one cart"`

	// FlashSaleLimitPerAddress is never more than a fifth of the units of a sale, and
	// never less than FlashSaleLimitPerCart. Units that are paid for do not count, so
	// that an office behind one address can buy one after the other.
	FlashSaleLimitPerAddress int           `env:"FLASH_SALE_LIMIT_PER_ADDRESS" envDefault:"5" roles:"web" min:"0" max:"1000000" example:"5" help:"most unpaid units of one flash sale that the carts of one address hold at a time; 0: no limit"`
	FlashSaleShortestHold    time.Duration `env:"FLASH_SALE_SHORTEST_HOLD" envDefault:"2m" roles:"web" min:"10s" max:"24h" example:"2m" help:"FLASH_SALE_HOLD is halved down to this for carts and addresses whose holds end unpaid"`

	// PaymentTimeout is less than the runtime's RequestTimeout, so that a shopper
	// learns how a payment ended.
	PaymentTimeout time.Duration `env:"PAYMENT_TIMEOUT" envDefault:"5s" roles:"web,worker-pg" min:"100ms" max:"1m" example:"5s" help:"longest wait for a reply of the payment gateway"`
}

// Check reports values that contradict the runtime's, and a sender that is no
// mail address.
func (s *Settings) Check(runtime config.Config, checks *config.Checker) {
	checks.That("PAYMENT_TIMEOUT", checks.Role() != config.Web || s.PaymentTimeout < runtime.RequestTimeout || runtime.RequestTimeout <= 0,
		fmt.Sprintf("is %s; it must be less than REQUEST_TIMEOUT (%s), or a payment outlives its page", s.PaymentTimeout, runtime.RequestTimeout))
	takesPayments := checks.Role() == config.Web || checks.Role() == config.WorkerPG
	checks.Warn("the payment gateway", !takesPayments || runtime.Environment != config.Production,
		"is the sandbox, which charges no card; plug in a real one in cmd/app/store.go")
	_, err := mail.ParseAddress(s.MailFrom)
	checks.That("MAIL_FROM", err == nil, fmt.Sprintf("%q is not a mail address", s.MailFrom))
}
