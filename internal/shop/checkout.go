package shop

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Contact is the name and address of a shopper.
type Contact struct {
	Email      string
	Name       string
	Street     string
	PostalCode string
	City       string
	Country    string // ISO 3166-1 alpha-2, one of Countries
	Note       string // optional, for the courier
}

// Country is a country that the store ships to.
type Country struct {
	Code string
	Name string
}

// Countries are the countries that the store ships to, in the order of the form.
var Countries = []Country{
	{"AT", "Austria"}, {"BE", "Belgium"}, {"DK", "Denmark"}, {"EE", "Estonia"}, {"FI", "Finland"},
	{"FR", "France"}, {"DE", "Germany"}, {"GR", "Greece"}, {"IE", "Ireland"}, {"IT", "Italy"},
	{"LV", "Latvia"}, {"LT", "Lithuania"}, {"LU", "Luxembourg"}, {"NL", "Netherlands"}, {"NO", "Norway"},
	{"PL", "Poland"}, {"PT", "Portugal"}, {"ES", "Spain"}, {"SE", "Sweden"}, {"CH", "Switzerland"},
	{"GB", "United Kingdom"},
}

// ContactProblems is the error of a Contact: a sentence for the shopper by field
// (email, name, street, postal_code, city, country, note).
type ContactProblems map[string]string

func (p ContactProblems) Error() string {
	return fmt.Sprintf("%d fields of the contact are invalid", len(p))
}

// Cleaned is the contact without leading, trailing and double spaces.
func (c Contact) Cleaned() Contact {
	line := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	return Contact{
		Email:      strings.TrimSpace(c.Email),
		Name:       line(c.Name),
		Street:     line(c.Street),
		PostalCode: line(c.PostalCode),
		City:       line(c.City),
		Country:    strings.ToUpper(strings.TrimSpace(c.Country)),
		Note:       strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\t", " ").Replace(c.Note)),
	}
}

// Problems checks a cleaned contact. It is nil for a valid one.
func (c Contact) Problems() ContactProblems {
	problems := ContactProblems{}
	for _, field := range []struct {
		name, value, empty string
		longest            int
	}{
		{"email", c.Email, "Please give an email address, so that we can send you the order.", 254},
		{"name", c.Name, "Please give the name on the parcel.", 120},
		{"street", c.Street, "Please give street and house number.", 160},
		{"postal_code", c.PostalCode, "Please give the postal code.", 16},
		{"city", c.City, "Please give the city.", 100},
		{"country", c.Country, "Please choose a country.", 2},
		{"note", c.Note, "", 500},
	} {
		switch length := utf8.RuneCountInString(field.value); {
		case field.empty != "" && !visible(field.value):
			problems[field.name] = field.empty
		case length > field.longest:
			problems[field.name] = fmt.Sprintf("This has %d characters; at most %d fit.", length, field.longest)
		case !printable(field.value):
			problems[field.name] = "This holds a character that cannot be printed. Please type it again."
		}
	}
	if problems["email"] == "" && !deliverable(c.Email) {
		problems["email"] = "This is not a complete email address, such as ada@example.com."
	}
	if problems["country"] == "" && !slices.ContainsFunc(Countries, func(country Country) bool { return country.Code == c.Country }) {
		problems["country"] = "We do not ship there yet. Please choose a country from the list."
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

// CountryName is the name of the country of the contact.
func (c Contact) CountryName() string {
	for _, country := range Countries {
		if country.Code == c.Country {
			return country.Name
		}
	}
	return c.Country
}

// Contact returns the contact that is stored with a cart, or the zero Contact.
func (s *Shop) Contact(ctx context.Context, cartID string) (Contact, error) {
	if cartID == "" {
		return Contact{}, nil
	}
	return readContact(ctx, s.db, cartID)
}

// SaveContact stores a contact with a cart. The error is ContactProblems when the
// contact is invalid, and ErrNotFound when there is no such cart.
func (s *Shop) SaveContact(ctx context.Context, cartID string, contact Contact) error {
	contact = contact.Cleaned()
	if problems := contact.Problems(); problems != nil {
		return problems
	}
	if cartID == "" {
		return ErrNotFound
	}
	saved, err := s.db.Exec(ctx, `
		UPDATE carts
		SET email = $2, name = $3, street = $4, postal_code = $5, city = $6, country = $7, note = $8, updated_at = now()
		WHERE id = $1`,
		cartID, contact.Email, contact.Name, contact.Street, contact.PostalCode, contact.City, contact.Country, contact.Note)
	if err != nil {
		return fmt.Errorf("save contact: %w", err)
	}
	if saved.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// Private

func readContact(ctx context.Context, db querier, cartID string) (Contact, error) {
	rows, err := db.Query(ctx, `
		SELECT email, name, street, postal_code, city, country, note
		FROM carts
		WHERE id = $1`, cartID)
	if err != nil {
		return Contact{}, fmt.Errorf("read contact: %w", err)
	}
	contact, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Contact])
	if errors.Is(err, pgx.ErrNoRows) {
		return Contact{}, nil
	}
	if err != nil {
		return Contact{}, fmt.Errorf("read contact: %w", err)
	}
	return contact, nil
}

// printable reports whether PostgreSQL can store a text and a label can show it.
// All scripts and emoji are, control characters are not.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n'
	})
}

// visible reports whether a text has a character other than spaces and characters
// of no width.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) })
}

// deliverable reports whether an email address is a plain one with a full domain.
func deliverable(email string) bool {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || strings.Contains(email, `"`) ||
		strings.ContainsFunc(email, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }) {
		return false
	}
	_, domain, _ := strings.Cut(email, "@")
	labels := strings.Split(domain, ".")
	return len(labels) > 1 && !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-")
	})
}
