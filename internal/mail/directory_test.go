package mail

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/telemetry"
)

func TestDirectory_StoresAMailUnchanged(t *testing.T) {
	t.Parallel()
	directory := NewDirectory(filepath.Join(t.TempDir(), "new", "mail"), "App — ⚓ <post@app.example>")
	message := Message{
		ID: "letter-1@app.example", To: `"Ada Ñandú" <ada@example.com>`,
		Subject: "Your mug 🏮 is on its way — وصلت رسالتك " + strings.Repeat("and on ", 40),
		Text:    "Hello Ada,\n\n.\n.. dots and = signs =20\n" + strings.Repeat("x", 2000) + "\nשלום 🏮\n",
		HTML:    "<p>Hello <b>Ada</b> 🏮 &amp; friends</p>\n" + strings.Repeat("<i>long</i>", 300),
	}

	require.NoError(t, directory.Send(t.Context(), message))

	stored := list(t, directory)
	require.Len(t, stored, 1)
	require.Equal(t, message.Subject, stored[0].Subject)
	require.Equal(t, message.Text, unix(stored[0].Text))
	require.Equal(t, message.HTML, unix(stored[0].HTML))
	require.Contains(t, stored[0].To, "<ada@example.com>")
	require.Contains(t, stored[0].From, "<post@app.example>")
	require.WithinDuration(t, time.Now(), stored[0].SentAt, time.Minute)
	read, err := directory.Read(stored[0].Name)
	require.NoError(t, err)
	require.Equal(t, stored[0], read)
}

func TestDirectory_StoresAMailThatIsSentTwiceOnce(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)

	for range 2 {
		require.NoError(t, directory.Send(t.Context(), Message{ID: "letter-1", To: "ada@example.com", Subject: "One", Text: "x"}))
	}
	require.NoError(t, directory.Send(t.Context(), Message{ID: "letter-2", To: "ada@example.com", Subject: "Two", Text: "x"}))
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

	stored, err := directory.List(3)

	require.NoError(t, err)
	require.Len(t, stored, 3)
	require.Equal(t, []string{"4", "3", "2"}, []string{stored[0].Subject, stored[1].Subject, stored[2].Subject})
}

func TestDirectory_ListSkipsFilesThatAreNotMails(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)
	require.NoError(t, directory.Send(t.Context(), Message{ID: "1", To: "ada@example.com", Subject: "One", Text: "x"}))
	for name, content := range map[string]string{
		"empty.eml": "", "binary.eml": "\x00\xff\xfe", "headless.eml": "no header at all",
		"cut.eml":   "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
		"notes.txt": "notes", ".mail-123": "half a mail", "Capital.eml": "From: a@b.c\r\n\r\nx", "..eml": "x",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory.path, name), []byte(content), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(directory.path, "folder.eml"), 0o700))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(directory.path, "gone.eml")))

	stored, err := directory.List(1)

	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.Equal(t, "One", stored[0].Subject)
}

func TestDirectory_IsEmptyBeforeTheFirstMail(t *testing.T) {
	t.Parallel()

	require.Empty(t, list(t, NewDirectory(filepath.Join(t.TempDir(), "none"), "a@b.c")))
}

func TestDirectory_ReadsNoFileOutsideTheDirectory(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret.eml"), []byte("From: a@b.c\r\n\r\nsecret"), 0o600))
	directory := NewDirectory(filepath.Join(outside, "mail"), "a@b.c")
	require.NoError(t, os.Mkdir(directory.path, 0o700))

	for _, name := range []string{
		"../secret", "..", "", "/etc/passwd", "a/b", "a\\b", "%2e%2e/secret", "x\x00", strings.Repeat("a", 101), "none",
	} {
		_, err := directory.Read(name)

		require.ErrorIs(t, err, ErrNotFound, name)
	}
}

func TestSend_RefusesInjectedHeadersAndRecipients(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)

	for _, to := range []string{
		"", "ada", "ada@example.com, eve@example.com", "ada@example.com\r\nBcc: eve@example.com",
		"Ada\nBcc: eve@example.com <ada@example.com>", "<ada@example.com>>",
	} {
		err := directory.Send(t.Context(), Message{To: to, Subject: "Hello", Text: "x"})
		require.ErrorContains(t, err, "recipient of mail", to)
	}
	require.Empty(t, list(t, directory))

	message := Message{
		ID: "1\r\nBcc: eve@example.com", To: "ada@example.com",
		Subject: "Hello\r\nBcc: eve@example.com\r\n\r\nevil", Text: "x",
	}
	require.NoError(t, directory.Send(t.Context(), message))
	content, err := os.ReadFile(filepath.Join(directory.path, fileName(message)))
	require.NoError(t, err)
	require.NotContains(t, strings.ToLower(string(content)), "\nbcc:")
	require.NotContains(t, string(content), "\nevil")
}

func TestSend_RefusesAnInvalidSender(t *testing.T) {
	t.Parallel()

	err := NewDirectory(t.TempDir(), "App").Send(t.Context(), Message{To: "ada@example.com"})

	require.ErrorContains(t, err, "sender of mail")
}

// Private

func newDirectory(t *testing.T) *Directory {
	t.Helper()
	return NewDirectory(t.TempDir(), "App <post@app.example>")
}

func list(t *testing.T, directory *Directory) []Stored {
	t.Helper()
	stored, err := directory.List(100)
	require.NoError(t, err)
	return stored
}

// unix replaces the line ends of mail by those of Unix.
func unix(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

func TestDirectory_NamesTheRequestThatCausedAMail(t *testing.T) {
	t.Parallel()
	directory := newDirectory(t)
	ctx := telemetry.WithRequestID(t.Context(), "r-1")

	require.NoError(t, directory.Send(ctx, Message{ID: "letter-1", To: "ada@example.com", Subject: "One", Text: "x"}))

	files, err := filepath.Glob(filepath.Join(directory.path, "*.eml"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	written, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Contains(t, string(written), "X-Request-ID: r-1\r\n")
}
