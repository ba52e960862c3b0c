package config

import (
	"slices"
	"strings"
)

// Private

// publicWords are parts of keys that stand in examples and guides.
var publicWords = []string{
	"changeme", "change-me", "change_me", "change this", "replace", "example", "placeholder", "insecure", "not-a-secret", "notasecret",
	"supersecret", "super-secret", "your-secret", "your_secret", "yoursecret", "secret_key_base", "openssl rand", "for-trying",
	"development", "password",
}

// secretProblem returns why a secret can be guessed, or "". A random value of 32
// digits or more practically never has such a reason.
func secretProblem(secret string) string {
	lower := strings.ToLower(secret)
	if strings.HasPrefix(secret, "<") || slices.ContainsFunc(publicWords, func(word string) bool { return strings.Contains(lower, word) }) {
		return "is a value from an example or guide, which everybody knows"
	}
	unit := secret[:repeatedAfter(secret)]
	different, surprising := map[byte]bool{}, 0
	for i := range len(unit) {
		different[unit[i]] = true
		if i == 0 || unit[i] > unit[i-1]+1 || unit[i]+1 < unit[i-1] {
			surprising++ // it neither repeats nor continues, as in "aaa" or "abc"
		}
	}
	if len(unit) < 24 || len(different) < 6 || surprising < 12 {
		return "can be guessed, because its characters repeat or follow one another"
	}
	return ""
}

// repeatedAfter returns the length of the shortest part whose repetition is the whole
// text.
func repeatedAfter(text string) int {
	for length := 1; length < len(text); length++ {
		if strings.HasPrefix(text, text[length:]) {
			return length
		}
	}
	return len(text)
}
