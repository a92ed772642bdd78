package carillon

import (
	"errors"
	"fmt"
)

// Code says what kind of trouble an [Error] is, for programs. The set is
// closed, so that every code has one HTTP status.
type Code string

// The codes of an [Error].
const (
	CodeInvalid      Code = "invalid"         // the input is wrong; Problems say where
	CodeNotFound     Code = "not-found"       // there is no such object
	CodeConflict     Code = "conflict"        // the object's state does not allow it
	CodeInProgress   Code = "in-progress"     // the delivery is under way
	CodeEventReused  Code = "event-id-reused" // the event's id was published before with other content
	CodeExists       Code = "exists"          // the name is taken
	CodeStale        Code = "stale"           // If-Match names another version of the object
	CodeTooLarge     Code = "too-large"       // a documented size limit is exceeded
	CodeUnauthorized Code = "unauthorized"    // no key, or not a valid one
	CodeForbidden    Code = "forbidden"       // the key does not allow it
	CodeRateLimited  Code = "rate-limited"    // too many requests
	CodeUnavailable  Code = "unavailable"     // a part that Carillon needs is away; try again later
	CodeExpired      Code = "history-expired" // the run's history was removed by the namespace's retention
	CodeInternal     Code = "internal"        // a fault of Carillon; details are in its log only
)

// Error is an error with a message made for the person at the other end. Only
// an Error's Message ever leaves the process; every other error is logged and
// answered as "internal error".
type Error struct {
	Code     Code
	Message  string
	Problems []Problem // where the input is wrong; empty when that is no question
	Err      error     // the cause, for the log; nil when there is none
}

// Problem is one thing wrong in the input.
type Problem struct {
	// Pointer is the place, as a JSON Pointer (RFC 6901) into the request's body.
	Pointer string `json:"pointer"`
	// Detail says what is wrong and what is allowed.
	Detail string `json:"detail"`
	// Line and Column, from 1, are set for text with a grammar (conditions).
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

func (e *Error) Error() string {
	text := e.Message
	for _, p := range e.Problems {
		text += fmt.Sprintf("; %s: %s", p.Pointer, p.Detail)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] of the code with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes a [CodeInvalid] error about one place of the input.
func Invalid(pointer, format string, args ...any) *Error {
	return &Error{
		Code:     CodeInvalid,
		Message:  "the input is not valid",
		Problems: []Problem{{Pointer: pointer, Detail: fmt.Sprintf(format, args...)}},
	}
}

// CodeOf returns the code of the first [Error] in err's chain, and
// [CodeInternal] where there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
