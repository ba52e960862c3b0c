package storefront

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/mail"
	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// mailsListed is the number of mails on the list.
const mailsListed = 50

// Private

func (s *Storefront) listMail(c echo.Context) error {
	stored, err := s.mails.List(mailsListed)
	if err != nil {
		return err
	}
	page := templates.MailListPage{Layout: s.bareLayout(c, "Sent mail")}
	for _, message := range stored {
		page.Mails = append(page.Mails, shownMail(message))
	}
	return web.Render(c, http.StatusOK, templates.MailList(page))
}

func (s *Storefront) showMail(c echo.Context) error {
	message, err := s.mails.Read(c.Param("id"))
	if errors.Is(err, mail.ErrNotFound) {
		return shop.ErrNotFound
	}
	if err != nil {
		return err
	}
	// Mails have inline styles, and the frame that shows a mail inherits this
	// policy.
	c.Response().Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
	page := templates.MailPage{Layout: s.bareLayout(c, message.Subject), Mail: shownMail(message)}
	return web.Render(c, http.StatusOK, templates.MailMessage(page))
}

// downloadMail sends a mail as the file that mail programs open.
func (s *Storefront) downloadMail(c echo.Context) error {
	mails, err := s.mails.Open()
	if errors.Is(err, mail.ErrNotFound) {
		return shop.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer func() { _ = mails.Close() }()
	name := c.Param("id") + ".eml"
	return web.SendFile(c, mails, web.File{Name: name, SaveAs: name})
}

func shownMail(stored mail.Stored) templates.Mail {
	return templates.Mail{
		ID: stored.Name, From: stored.From, To: stored.To, Subject: stored.Subject,
		SentAt: stored.SentAt, Text: stored.Text, HTML: stored.HTML,
	}
}
