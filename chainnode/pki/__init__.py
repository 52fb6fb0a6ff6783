"""X.509 (RFC 5280) as this project needs it: P-256 and SM2 certificates, requests and revocation lists.

Pure: no IO, no clock, no random numbers. Times and serial numbers are arguments, and whoever holds a key hands in
what signs. Reading is strict and eager: bytes become values of ours, or one error.

    der                          what DER is, checked before anything else reads the bytes
    times, names                 whole seconds; distinguished names from and to text
    keys                         subject keys, signature algorithms, and whether a signature holds
    extensions                   what a certificate says besides: typed; as bytes in
                                 extension_reading and extension_writing
    certificate                  an X.509 certificate as a value
    profiles                     what certificates for one use say, and what is accepted for that use
    issuing                      making certificates
    request                      PKCS #10: asking for one
    revocation                   CRLs
    path                         from a certificate to a root that is trusted, at one moment
    pem, description             how people carry them and read them
"""
