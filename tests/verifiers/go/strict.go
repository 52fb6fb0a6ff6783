package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The checks of this file stand where the libraries accept more than one form of the same thing.

// sizes of public keys by signature type: Ed25519 of logs and cosigners, ML-DSA-44 of cosigners.
var sizes = map[byte]int{1: ed25519.PublicKeySize, 4: ed25519.PublicKeySize, 6: 1312}

// checkVkey refuses a key id that is not the key's and base64 that is not canonical: formats looks at neither.
func checkVkey(vkey string, algs ...byte) (name string, public []byte, err error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return "", nil, errors.New("vkey: too few parts")
	}
	key, err := decodeBase64(parts[2])
	if err != nil {
		return "", nil, err
	}
	if len(key) == 0 || !slices.Contains(algs, key[0]) || len(key) != 1+sizes[key[0]] {
		return "", nil, fmt.Errorf("vkey: no key of a type among %d", algs)
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if hex.EncodeToString(sum[:4]) != parts[1] {
		return "", nil, errors.New("vkey: key id is not that of the key")
	}
	return parts[0], key[1:], nil
}

// checkPolicy holds a policy against tlog-policy where formats does not, and returns the vkeys of its logs.
func checkPolicy(policy []byte) (logs, witnesses []string, err error) {
	if !bytes.HasSuffix(policy, []byte("\n")) {
		return nil, nil, errors.New("policy: last line is not terminated")
	}
	for _, b := range policy {
		if b < 0x20 && b != '\n' && b != '\t' || b == 0x7f {
			return nil, nil, errors.New("policy: control character")
		}
	}
	names, free, keys := map[string]bool{}, map[string]bool{}, map[string]bool{}
	quorums := 0
	define := func(name string) error {
		if names[name] || name == "none" {
			return fmt.Errorf("policy: name %q is taken", name)
		}
		names[name], free[name] = true, true
		return nil
	}
	addKey := func(kind, vkey string, algs ...byte) error {
		_, public, err := checkVkey(vkey, algs...)
		if err != nil {
			return err
		}
		if keys[kind+string(public)] {
			return errors.New("policy: duplicate key")
		}
		keys[kind+string(public)] = true
		return nil
	}
	for _, line := range strings.Split(string(policy), "\n") {
		f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		switch {
		case f[0] == "log" && (len(f) == 2 || len(f) == 3):
			err = addKey("log", f[1], 1)
			logs = append(logs, f[1])
		case f[0] == "witness" && (len(f) == 3 || len(f) == 4):
			if err = addKey("witness", f[2], 4, 6); err == nil {
				err = define(f[1])
			}
			witnesses = append(witnesses, f[2])
		case f[0] == "group" && len(f) > 3:
			for _, member := range f[3:] {
				if !free[member] {
					return nil, nil, fmt.Errorf("policy: %q is undefined or a member already", member)
				}
				delete(free, member)
			}
			if f[2] != "all" && f[2] != "any" {
				k, e := strconv.Atoi(f[2])
				if e != nil || k < 1 || k > len(f)-3 || strconv.Itoa(k) != f[2] {
					return nil, nil, fmt.Errorf("policy: threshold %q", f[2])
				}
			}
			err = define(f[1])
		case f[0] == "quorum" && len(f) == 2:
			if quorums++; quorums > 1 || f[1] != "none" && !names[f[1]] {
				err = errors.New("policy: quorum is defined twice or names nothing above")
			}
		default:
			err = fmt.Errorf("policy: %q", line)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return logs, witnesses, nil
}

// checkNote refuses what note.Open drops in silence: a second line by the same key, base64 that is not canonical.
func checkNote(signed []byte) error {
	_, block, _ := bytes.Cut(signed, []byte("\n\n"))
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSuffix(string(block), "\n"), "\n") {
		f := strings.Split(line, " ")
		if len(f) != 3 {
			return errors.New("note: malformed signature line")
		}
		sig, err := decodeBase64(f[2])
		if err != nil || len(sig) < 5 {
			return errors.New("note: malformed signature")
		}
		key := f[1] + string(sig[:4])
		if seen[key] {
			return errors.New("note: two signatures by one key")
		}
		seen[key] = true
	}
	return nil
}

func decodeBase64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodeToString(data) != text {
		return nil, errors.New("base64 is not canonical")
	}
	return data, nil
}
