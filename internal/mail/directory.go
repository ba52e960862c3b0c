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

// Directory stores mails as .eml files instead of sending them. Several processes
// may use one directory.
type Directory struct {
	path string
	from string
}

// NewDirectory returns a sender that stores mails in the directory path, which the
// first mail creates. The address from is the sender of all mails.
func NewDirectory(path, from string) *Directory {
	return &Directory{path: path, from: from}
}

// Send stores the mail. It replaces an older mail with the same ID.
func (d *Directory) Send(ctx context.Context, message Message) error {
	composed, err := compose(ctx, d.from, message)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("create mail directory: %w", err)
	}
	// The rename keeps readers from finding an incomplete mail.
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

// Stored is a mail in a Directory.
type Stored struct {
	Name    string // name of the file, without .eml
	From    string
	To      string
	Subject string
	SentAt  time.Time
	Text    string
	HTML    string
}

// ErrNotFound means that the Directory has no mail of that name.
var ErrNotFound = errors.New("no such mail")

// List returns up to limit mails, newest first. It skips files that are not mails,
// and returns nothing when the directory does not exist.
func (d *Directory) List(limit int) ([]Stored, error) {
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

	var stored []Stored
	for _, file := range files {
		if len(stored) == limit {
			break
		}
		if mail, err := d.Read(file.name); err == nil { // an error: not a mail, or deleted meanwhile
			stored = append(stored, mail)
		}
	}
	return stored, nil
}

// Read returns one mail. Its error is ErrNotFound when there is no such mail, also
// when name cannot be the name of one.
func (d *Directory) Read(name string) (Stored, error) {
	if !storedName.MatchString(name) {
		return Stored{}, ErrNotFound
	}
	path := filepath.Join(d.path, name+".eml")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Stored{}, ErrNotFound
	}
	if err != nil {
		return Stored{}, fmt.Errorf("read mail %s: %w", name, err)
	}
	message, err := gomail.EMLToMsgFromFile(path)
	if err != nil {
		return Stored{}, fmt.Errorf("read mail %s: %w", name, err)
	}

	if len(message.GetFrom()) == 0 {
		return Stored{}, ErrNotFound // EMLToMsgFromFile accepts files that are not mails
	}

	stored := Stored{Name: name, SentAt: info.ModTime()}
	stored.From = strings.Join(message.GetFromString(), ", ")
	stored.To = strings.Join(message.GetToString(), ", ")
	subject := strings.Join(message.GetGenHeader(gomail.HeaderSubject), " ")
	if stored.Subject, err = new(mime.WordDecoder).DecodeHeader(subject); err != nil {
		return Stored{}, fmt.Errorf("read subject of mail %s: %w", name, err)
	}
	for _, part := range message.GetParts() {
		content, err := part.GetContent()
		if err != nil {
			return Stored{}, fmt.Errorf("read mail %s: %w", name, err)
		}
		if part.GetContentType() == gomail.TypeTextHTML {
			stored.HTML = string(content)
		} else {
			stored.Text = string(content)
		}
	}
	return stored, nil
}

// Open opens the directory, in which mail NAME is the file NAME.eml. Its error is
// ErrNotFound when no mail was sent yet.
func (d *Directory) Open() (*os.Root, error) {
	root, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("open mail directory: %w", err)
	}
	return root, nil
}

// Private

var storedName = regexp.MustCompile(`^[a-z0-9-]{1,100}$`)

// fileName returns the same name for the same ID, so that a mail that is sent twice
// is stored once.
func fileName(message Message) string {
	id := message.ID
	if id == "" {
		id = message.To + message.Subject + time.Now().Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256([]byte(id))
	return "mail-" + hex.EncodeToString(sum[:8]) + ".eml"
}
