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

// mailsListed is how many mails the development page lists.
const mailsListed = 50

// Private

func (s *Storefront) listMail(c echo.Context) error {
	kept, err := s.mails.List(mailsListed)
	if err != nil {
		return err
	}
	page := templates.MailListPage{Layout: s.bareLayout(c, "Sent mail")}
	for _, message := range kept {
		page.Mails = append(page.Mails, shownMail(message))
	}
	return web.Render(c, http.StatusOK, templates.MailList(page))
}

func (s *Storefront) showMail(c echo.Context) error {
	message, err := s.mails.Read(c.Param("id"))
	if errors.Is(err, mail.ErrNotKept) {
		return shop.ErrNotFound
	}
	if err != nil {
		return err
	}
	// A mail styles itself inline, as mails must; the frame that shows it has
	// the policy of this page.
	c.Response().Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
	page := templates.MailPage{Layout: s.bareLayout(c, message.Subject), Mail: shownMail(message)}
	return web.Render(c, http.StatusOK, templates.MailMessage(page))
}

func shownMail(kept mail.Kept) templates.Mail {
	return templates.Mail{
		ID: kept.Name, From: kept.From, To: kept.To, Subject: kept.Subject,
		SentAt: kept.SentAt, Text: kept.Text, HTML: kept.HTML,
	}
}
