package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMask_HidesSecretArgsAtAnyDepth(t *testing.T) {
	t.Parallel()
	mask := Mask{"mail": {"note"}}

	for args, shown := range map[string]string{
		`{"a": [{"Password": "x"}], "b": {"card_number": 4}}`: `{"a":[{"Password":"***"}],"b":{"card_number":"***"}}`,
		`{"note": {"deep": 1}, "order": 1}`:                   `{"note":"***","order":1}`,
		`{"pin": 1, "OTP": 2, "cvv": 3, "ssn": 4}`:            `{"OTP":"***","cvv":"***","pin":"***","ssn":"***"}`,
		`{"user_pin": 1, "userPin": 2, "pinCode": 3}`:         `{"pinCode":"***","userPin":"***","user_pin":"***"}`,
		`{"spinning": 1, "option": 2, "pinned": 3}`:           `{"option":2,"pinned":3,"spinning":1}`,
		`{"order": 9007199254740993}`:                         `{"order":9007199254740993}`,
		`not json`:                                            `"***"`,
		`null`:                                                `null`,
	} {
		require.Equal(t, shown, string(mask.Args("mail", []byte(args))))
	}
	require.JSONEq(t, `{"note": 1}`, string(mask.Args("other", []byte(`{"note": 1}`))))
	require.JSONEq(t, `{"task": {"kind": "mail", "args": {"note": "***"}}}`,
		string(mask.Args(OutboxKind, []byte(`{"task": {"kind": "mail", "args": {"note": "x"}}}`))))
}

func TestMask_RestoresWhatIsStillMasked(t *testing.T) {
	t.Parallel()
	mask := Mask{"mail": {"note"}}
	const stored = `{"order": 9007199254740993, "note": ["x"], "to": [{"n": "ada", "pin": "a"}, {"n": "bob", "pin": "b"}]}`

	for edited, restored := range map[string]string{
		`{"order": 2, "note": "***"}`:                                  `{"note": ["x"], "order": 2}`,
		`{"order": 9007199254740995, "note": "y"}`:                     `{"note": "y", "order": 9007199254740995}`,
		`{"to": [{"n": "ada", "pin": "***"}, {"n": "bob"}]}`:           `{"to": [{"n": "ada", "pin": "a"}, {"n": "bob"}]}`,
		`{"to": [{"pin": "***", "n": "ada"}, {"pin": "***"}]}`:         `{"to": [{"n": "ada", "pin": "a"}, {"pin": "b"}]}`,
		`{"to": [{"n": "ada", "pin": "c"}, {"n": "bob", "pin": "d"}]}`: `{"to": [{"n": "ada", "pin": "c"}, {"n": "bob", "pin": "d"}]}`,
		`{"to": [{"n": "bob", "pin": "d"}, {"n": "eve"}, {}]}`:         `{"to": [{"n": "bob", "pin": "d"}, {"n": "eve"}, {}]}`,
	} {
		whole, err := mask.Unmask("mail", []byte(stored), []byte(edited))
		require.NoError(t, err, edited)
		require.Equal(t, strings.ReplaceAll(restored, " ", ""), string(whole))
	}
}

func TestMask_RefusesAMaskWithoutACertainValue(t *testing.T) {
	t.Parallel()
	mask := Mask{"mail": {"note"}}
	const stored = `{"order": 1, "to": [{"n": "ada", "pin": "a"}, {"n": "bob", "pin": "b"}]}`
	const noValue = " is ***, and there is no stored value for it: write the value"
	const inList = "read the arguments of mail: in a list, *** keeps its value only while all other entries are unchanged: pin" + noValue

	for edited, problem := range map[string]string{
		`{"order": 1, "note": "***"}`:                                      "read the arguments of mail: note" + noValue,
		`{"order": {"pin": "***"}}`:                                        "read the arguments of mail: pin" + noValue,
		`{"to": {"pin": "***"}}`:                                           "read the arguments of mail: pin" + noValue,
		`{"to": [{"n": "bob", "pin": "***"}, {"n": "ada", "pin": "***"}]}`: inList,
		`{"to": [{"n": "bob", "pin": "***"}]}`:                             inList,
		`{"to": [{"n": "ada", "pin": "***"}, {"n": "bob"}, {"n": "eve"}]}`: inList,
	} {
		_, err := mask.Unmask("mail", []byte(stored), []byte(edited))
		require.EqualError(t, err, problem, edited)
	}
	_, err := mask.Unmask("mail", []byte("not json"), []byte(`{"note": "***"}`))
	require.ErrorContains(t, err, noValue)
	_, err = mask.Unmask("mail", []byte(stored), []byte(`{`))
	require.ErrorContains(t, err, "as JSON")
}

func TestMask_HidesSecretArgsInTexts(t *testing.T) {
	t.Parallel()
	mask := Mask{"mail": {"note", "sum"}}
	args := []byte(`{"note": {"deep": ["swordfish", "a\"b c"]}, "sum": 4711, "pin": "0815", "order": 12, "otp": "12"}`)

	for text, shown := range map[string]string{
		"wrong note swordfish for order 12":     "wrong note *** for order 12",
		`post "a\"b c" to /a%22b%20c?q=a%22b+c`: `post "***" to /***?q=***`,
		"pin 0815 of 108150, sum=4711.":         "pin *** of 108150, sum=***.",
		"password=hunter2":                      "password=***",
	} {
		require.Equal(t, shown, mask.Text("mail", args, text))
	}
}

func TestMask_KeepsWhatAnErrorIs(t *testing.T) {
	t.Parallel()
	mask := Mask{"mail": {"note"}}
	cause := fmt.Errorf("note swordfish: %w", Permanent(context.DeadlineExceeded))

	err := mask.Error("mail", []byte(`{"note": "swordfish"}`), cause)

	require.EqualError(t, err, "note ***: context deadline exceeded")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, isPermanent(err))
	require.NoError(t, mask.Error("mail", nil, nil))
	require.EqualError(t, mask.Error("mail", nil, errors.New("x")), "x")
}
