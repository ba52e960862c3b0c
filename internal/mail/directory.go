package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Directory keeps mails as .eml files instead of sending them. Several
// processes may use one directory.
type Directory struct {
	path string
	from string
}

// NewDirectory keeps mails from sender from in the directory path, which is
// made with the first mail.
func NewDirectory(path, from string) *Directory {
	return &Directory{path: path, from: from}
}

// Send writes the mail. A mail with an ID that is there already replaces it.
func (d *Directory) Send(_ context.Context, message Message) error {
	composed, err := compose(d.from, message)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("make mail directory: %w", err)
	}
	// Written aside and renamed, so that a reader never sees half a mail.
	file, err := os.CreateTemp(d.path, ".mail-*")
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	_, err = composed.WriteTo(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write mail: %w", err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), filepath.Join(d.path, fileName(message))); err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	return nil
}

// Kept is a mail in a Directory.
type Kept struct {
	Name    string // of the file, without .eml
	From    string
	To      string
	Subject string
	SentAt  time.Time
	Text    string
	HTML    string
}

// ErrNotKept tells that there is no mail of that name.
var ErrNotKept = errors.New("no such mail")

// List reads the newest mails, newest first and at most limit. It passes over
// what is no mail.
func (d *Directory) List(limit int) ([]Kept, error) {
	entries, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list mails: %w", err)
	}
	type dated struct {
		name string
		at   time.Time
	}
	var files []dated
	for _, entry := range entries {
		name, isMail := strings.CutSuffix(entry.Name(), ".eml")
		if !isMail {
			continue
		}
		if info, err := entry.Info(); err == nil {
			files = append(files, dated{name, info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b dated) int { return b.at.Compare(a.at) })

	var kept []Kept
	for _, file := range files {
		if len(kept) == limit {
			break
		}
		// What is no mail, or was deleted meanwhile, is passed over.
		if mail, err := d.Read(file.name); err == nil {
			kept = append(kept, mail)
		}
	}
	return kept, nil
}

// Read reads one mail.
func (d *Directory) Read(name string) (Kept, error) {
	if !keptName.MatchString(name) {
		return Kept{}, ErrNotKept
	}
	path := filepath.Join(d.path, name+".eml")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Kept{}, ErrNotKept
	}
	if err != nil {
		return Kept{}, fmt.Errorf("read mail %s: %w", name, err)
	}
	message, err := gomail.EMLToMsgFromFile(path)
	if err != nil {
		return Kept{}, fmt.Errorf("read mail %s: %w", name, err)
	}

	if len(message.GetFrom()) == 0 {
		return Kept{}, ErrNotKept // some other file
	}

	kept := Kept{Name: name, SentAt: info.ModTime()}
	kept.From = strings.Join(message.GetFromString(), ", ")
	kept.To = strings.Join(message.GetToString(), ", ")
	subject := strings.Join(message.GetGenHeader(gomail.HeaderSubject), " ")
	if kept.Subject, err = new(mime.WordDecoder).DecodeHeader(subject); err != nil {
		return Kept{}, fmt.Errorf("read subject of mail %s: %w", name, err)
	}
	for _, part := range message.GetParts() {
		content, err := part.GetContent()
		if err != nil {
			return Kept{}, fmt.Errorf("read mail %s: %w", name, err)
		}
		if part.GetContentType() == gomail.TypeTextHTML {
			kept.HTML = string(content)
		} else {
			kept.Text = string(content)
		}
	}
	return kept, nil
}

// Private

var keptName = regexp.MustCompile(`^[a-z0-9-]{1,100}$`)

// fileName is the same for the same mail, so that a mail that is sent twice is
// kept once.
func fileName(message Message) string {
	id := message.ID
	if id == "" {
		id = message.To + message.Subject + time.Now().Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256([]byte(id))
	return "mail-" + hex.EncodeToString(sum[:8]) + ".eml"
}
