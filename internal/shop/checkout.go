package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"slipway/internal/mail"
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
	RemindMe   bool   // the shopper asks for one reminder, if the cart is left
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

// Cleaned is the contact without leading, trailing and double spaces, and with its
// email address in the form of mail.Address.
func (c Contact) Cleaned() Contact {
	line := func(text string) string { return strings.Join(strings.Fields(strings.TrimFunc(text, isBlank)), " ") }
	email := strings.TrimFunc(c.Email, isBlank)
	if address, err := mail.Address(email); err == nil && hiddenProblem(email, isHiddenInEmail) == "" {
		email = address
	}
	return Contact{
		Email:      email,
		Name:       line(c.Name),
		Street:     line(c.Street),
		PostalCode: line(c.PostalCode),
		City:       line(c.City),
		Country:    strings.ToUpper(strings.TrimSpace(c.Country)),
		Note:       strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\t", " ").Replace(c.Note)),
		RemindMe:   c.RemindMe,
	}
}

// Problems checks a cleaned contact. It is nil for a valid one.
func (c Contact) Problems() ContactProblems {
	problems := ContactProblems{}
	for _, field := range []struct {
		name, value, empty string
		longest            int
		check              func(string) string // returns a sentence for the shopper
	}{
		{"email", c.Email, "Please give an email address, so that we can send you the order.", 254, emailProblem},
		{"name", c.Name, "Please give the name on the parcel.", 120, mailedProblem},
		{"street", c.Street, "Please give street and house number.", 160, mailedProblem},
		{"postal_code", c.PostalCode, "Please give the postal code.", 16, mailedProblem},
		{"city", c.City, "Please give the city.", 100, mailedProblem},
		{"country", c.Country, "Please choose a country.", 2, countryProblem},
		{"note", c.Note, "", 500, noteProblem},
	} {
		switch length := utf8.RuneCountInString(field.value); {
		case field.empty != "" && !visible(field.value):
			problems[field.name] = field.empty
		case length > field.longest:
			problems[field.name] = fmt.Sprintf("This has %d characters; at most %d fit.", length, field.longest)
		case !printable(field.value):
			problems[field.name] = "This holds a character that cannot be printed. Please type it again."
		default:
			if problem := field.check(field.value); problem != "" {
				problems[field.name] = problem
			}
		}
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
		SET email = $2, name = $3, street = $4, postal_code = $5, city = $6, country = $7, note = $8, updated_at = now(),
		    reminder_consent_at = CASE
		        WHEN NOT $9 THEN NULL
		        WHEN email = $2 THEN coalesce(reminder_consent_at, now())
		        ELSE now()
		    END
		WHERE id = $1`,
		cartID, contact.Email, contact.Name, contact.Street, contact.PostalCode, contact.City, contact.Country, contact.Note,
		contact.RemindMe)
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
		SELECT email, name, street, postal_code, city, country, note, reminder_consent_at IS NOT NULL
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

func countryProblem(code string) string {
	if slices.ContainsFunc(Countries, func(country Country) bool { return country.Code == code }) {
		return ""
	}
	return "We do not ship there yet. Please choose a country from the list."
}

func noteProblem(note string) string { return hiddenProblem(note, isHidden) }
