// Command torchwood is what tests need beside litewitness: a reader of logs that their authors did not write, and an
// ssh-agent that holds the one key with which litewitness cosigns.
//
//	torchwood entries PREFIX VKEY      reads checkpoint, tiles and entries, authenticates every entry, prints how many
//	torchwood agent SOCKET SEED        serves the Ed25519 key of a seed (hex) on a Unix socket, prints its fingerprint
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
)

func entries(prefix, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	fetcher, err := torchwood.NewTileFetcher(prefix)
	if err != nil {
		return err
	}
	client, err := torchwood.NewClient(fetcher)
	if err != nil {
		return err
	}
	ctx := context.Background()
	signed, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return err
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return err
	}
	// The iterator keeps back a last partial bundle; those entries are asked for one by one.
	next := int64(0)
	for index := range client.Entries(ctx, checkpoint.Tree, 0) {
		if index != next {
			return fmt.Errorf("entry %d where %d is expected", index, next)
		}
		next++
	}
	if err := client.Err(); err != nil {
		return err
	}
	for ; next < checkpoint.N; next++ {
		if _, _, err := client.Entry(ctx, checkpoint.Tree, next); err != nil {
			return err
		}
	}
	fmt.Println(next)
	return nil
}

func serveAgent(socket, seed string) error {
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		return errors.New("a seed of 32 bytes in hex is expected")
	}
	key := ed25519.NewKeyFromSeed(raw)
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	fmt.Println(ssh.FingerprintSHA256(public))
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go agent.ServeAgent(keyring, connection)
	}
}

func main() {
	err := errors.New("usage: torchwood entries PREFIX VKEY | torchwood agent SOCKET SEED")
	switch {
	case len(os.Args) == 4 && os.Args[1] == "entries":
		err = entries(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "agent":
		err = serveAgent(os.Args[2], os.Args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
