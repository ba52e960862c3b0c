package mail

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDirectory_KeepsAMailAsItWas(t *testing.T) {
	t.Parallel()
	directory := NewDirectory(filepath.Join(t.TempDir(), "new", "mail"), "Leeward — ⚓ <orders@leeward.example>")
	message := Message{
		ID: "order-1@leeward.example", To: `"Ada Ñandú" <ada@example.com>`,
		Subject: "Your mug 🏮 is on its way — وصل طلبك " + strings.Repeat("and on ", 40),
		Text:    "Hello Ada,\n\n.\n.. dots and = signs =20\n" + strings.Repeat("x", 2000) + "\nשלום 🏮\n",
		HTML:    "<p>Hello <b>Ada</b> 🏮 &amp; friends</p>\n" + strings.Repeat("<i>long</i>", 300),
	}

	require.NoError(t, directory.Send(t.Context(), message))

	kept := list(t, directory)
	require.Len(t, kept, 1)
	require.Equal(t, message.Subject, kept[0].Subject)
	require.Equal(t, message.Text, unix(kept[0].Text))
	require.Equal(t, message.HTML, unix(kept[0].HTML))
	require.Contains(t, kept[0].To, "<ada@example.com>")
	require.Contains(t, kept[0].From, "<orders@leeward.example>")
	require.WithinDuration(t, time.Now(), kept[0].SentAt, time.Minute)
	read, err := directory.Read(kept[0].Name)
	require.NoError(t, err)
	require.Equal(t, kept[0], read)
}

func TestDirectory_KeepsAMailThatIsSentTwiceOnce(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)

	for range 2 {
		require.NoError(t, directory.Send(t.Context(), Message{ID: "order-1", To: "ada@example.com", Subject: "One", Text: "x"}))
	}
	require.NoError(t, directory.Send(t.Context(), Message{ID: "order-2", To: "ada@example.com", Subject: "Two", Text: "x"}))
	for range 2 {
		require.NoError(t, directory.Send(t.Context(), Message{To: "ada@example.com", Subject: "Nameless", Text: "x"}))
	}

	require.Len(t, list(t, directory), 4)
}

func TestDirectory_ListsTheNewestFirst(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)
	for i := range 5 {
		message := Message{ID: fmt.Sprint(i), To: "ada@example.com", Subject: fmt.Sprint(i), Text: "x"}
		require.NoError(t, directory.Send(t.Context(), message))
		at := time.Now().Add(time.Duration(i-10) * time.Minute)
		require.NoError(t, os.Chtimes(filepath.Join(directory.path, fileName(message)), at, at))
	}

	kept, err := directory.List(3)

	require.NoError(t, err)
	require.Len(t, kept, 3)
	require.Equal(t, []string{"4", "3", "2"}, []string{kept[0].Subject, kept[1].Subject, kept[2].Subject})
}

func TestDirectory_PassesOverWhatIsNoMail(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)
	require.NoError(t, directory.Send(t.Context(), Message{ID: "1", To: "ada@example.com", Subject: "One", Text: "x"}))
	for name, content := range map[string]string{
		"empty.eml": "", "binary.eml": "\x00\xff\xfe", "headless.eml": "no header at all", "cut.eml": "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
		"notes.txt": "notes", ".mail-123": "half a mail", "Capital.eml": "From: a@b.c\r\n\r\nx", "..eml": "x",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory.path, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(directory.path, "folder.eml"), 0o700))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(directory.path, "gone.eml")))

	kept, err := directory.List(1)

	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.Equal(t, "One", kept[0].Subject)
}

func TestDirectory_IsEmptyBeforeTheFirstMail(t *testing.T) {
	t.Parallel()

	require.Empty(t, list(t, NewDirectory(filepath.Join(t.TempDir(), "none"), "a@b.c")))
}

func TestDirectory_ReadsNothingOutsideOfItself(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret.eml"), []byte("From: a@b.c\r\n\r\nsecret"), 0o600))
	directory := NewDirectory(filepath.Join(outside, "mail"), "a@b.c")
	require.NoError(t, os.Mkdir(directory.path, 0o700))

	for _, name := range []string{"../secret", "..", "", "/etc/passwd", "a/b", "a\\b", "%2e%2e/secret", "x\x00", strings.Repeat("a", 101), "none"} {
		_, err := directory.Read(name)

		require.ErrorIs(t, err, ErrNotKept, name)
	}
}

func TestSend_LetsNobodyAddHeadersOrRecipients(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)

	for _, to := range []string{"", "ada", "ada@example.com, eve@example.com", "ada@example.com\r\nBcc: eve@example.com", "Ada\nBcc: eve@example.com <ada@example.com>", "<ada@example.com>>"} {
		err := directory.Send(t.Context(), Message{To: to, Subject: "Hello", Text: "x"})
		require.ErrorContains(t, err, "recipient of mail", to)
	}
	require.Empty(t, list(t, directory))

	message := Message{ID: "1\r\nBcc: eve@example.com", To: "ada@example.com", Subject: "Hello\r\nBcc: eve@example.com\r\n\r\nevil", Text: "x"}
	require.NoError(t, directory.Send(t.Context(), message))
	content, err := os.ReadFile(filepath.Join(directory.path, fileName(message)))
	require.NoError(t, err)
	require.NotContains(t, strings.ToLower(string(content)), "\nbcc:")
	require.NotContains(t, string(content), "\nevil")
}

func TestSend_RefusesASenderThatIsNoAddress(t *testing.T) {
	t.Parallel()

	err := NewDirectory(t.TempDir(), "Leeward").Send(t.Context(), Message{To: "ada@example.com"})

	require.ErrorContains(t, err, "sender of mail")
}

// Private

func newDirectory(t *testing.T) *Directory {
	t.Helper()
	return NewDirectory(t.TempDir(), "Leeward <orders@leeward.example>")
}

func list(t *testing.T, directory *Directory) []Kept {
	t.Helper()
	kept, err := directory.List(100)
	require.NoError(t, err)
	return kept
}

// unix undoes the line endings of mail.
func unix(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
