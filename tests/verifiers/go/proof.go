package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// openCheckpoint returns the checkpoint if the policy trusts it: a log of its origin signed, and so did a quorum.
func openCheckpoint(signed, policy []byte) (*log.Checkpoint, error) {
	logKeys, witnessKeys, err := checkPolicy(policy)
	if err != nil {
		return nil, err
	}
	group, err := witness.ParsePolicy(policy)
	if err != nil {
		return nil, err
	}
	if err := checkNote(signed); err != nil {
		return nil, err
	}
	var cp log.Checkpoint
	text, _, found := bytes.Cut(signed, []byte("\n\n"))
	rest, err := cp.Unmarshal(append(slices.Clone(text), '\n'))
	if err != nil || !found || len(rest) > 0 || !bytes.Equal(cp.Marshal(), append(slices.Clone(text), '\n')) {
		return nil, fmt.Errorf("checkpoint is malformed: %v", err)
	}
	if len(cp.Hash) != tlog.HashSize || cp.Size > 1<<63-1 {
		return nil, errors.New("checkpoint: root or size out of range")
	}
	var verifiers []note.Verifier
	isLog := map[string]bool{}
	for _, vkey := range logKeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, err
		}
		if v.Name() == cp.Origin {
			verifiers = append(verifiers, v)
			isLog[fmt.Sprint(v.Name(), v.KeyHash())] = true
		}
	}
	if len(verifiers) == 0 {
		return nil, refused("the policy knows no log %q", cp.Origin)
	}
	for _, vkey := range witnessKeys {
		v, err := fnote.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	var invalid *note.InvalidSignatureError
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &invalid) || errors.As(err, &unverified) {
		return nil, refused("%v", err)
	}
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(opened.Sigs, func(s note.Signature) bool { return isLog[fmt.Sprint(s.Name, s.Hash)] }) {
		return nil, refused("no log of the policy has signed")
	}
	if !group.Satisfied(signed) {
		return nil, refused("the quorum has not cosigned")
	}
	return &cp, nil
}

// verifyFiles checks a proof; `bind` ties the first file to the proof's extra data and returns the leaf.
func verifyFiles(file, proofFile, policyFile string, bind func(file, extra []byte) ([]byte, error)) error {
	fileBytes, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	proofBytes, err := os.ReadFile(proofFile)
	if err != nil {
		return err
	}
	policy, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	var p proof.TLogProof
	if err := p.Unmarshal(proofBytes); err != nil {
		return err
	}
	if !bytes.Equal(p.Marshal(), proofBytes) {
		return errors.New("proof is not in its one form")
	}
	cp, err := openCheckpoint(p.Checkpoint, policy)
	if err != nil {
		return err
	}
	leaf, err := bind(fileBytes, p.ExtraData)
	if err != nil {
		return err
	}
	if p.Index >= cp.Size {
		return refused("index %d is not below size %d", p.Index, cp.Size)
	}
	path := make(tlog.RecordProof, 0, len(p.Hashes))
	for _, h := range p.Hashes {
		path = append(path, tlog.Hash(h))
	}
	err = tlog.CheckRecord(path, int64(cp.Size), tlog.Hash(cp.Hash), int64(p.Index), tlog.RecordHash(leaf))
	if err != nil {
		return refused("%v", err)
	}
	return nil
}

func checkLeaf(leaf, _ []byte) ([]byte, error) { return leaf, nil }

func readCheckpoint(file, policyFile string) (*log.Checkpoint, error) {
	signed, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := os.ReadFile(policyFile)
	if err != nil {
		return nil, err
	}
	return openCheckpoint(signed, policy)
}

func consistency(oldFile, newFile, policyFile, hashFile string) error {
	before, err := readCheckpoint(oldFile, policyFile)
	if err != nil {
		return err
	}
	after, err := readCheckpoint(newFile, policyFile)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(hashFile)
	if err != nil {
		return err
	}
	var path tlog.TreeProof
	for _, line := range strings.Fields(string(text)) {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, h)
	}
	err = tlog.CheckTree(path, int64(after.Size), tlog.Hash(after.Hash), int64(before.Size), tlog.Hash(before.Hash))
	if err != nil {
		return refused("%v", err)
	}
	return nil
}
