package devstack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
)

// newSecret generates a password, writes it to a new file that only its owner can
// read, and returns it.
func newSecret(file string) (string, error) {
	if err := os.RemoveAll(file); err != nil {
		return "", fmt.Errorf("remove the old password: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("write the password: %w", err)
	}
	secret := rand.Text()
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write the password: %w", err)
	}
	return secret, nil
}

func readSecret(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
