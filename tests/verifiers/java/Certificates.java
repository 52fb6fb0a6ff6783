import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Security;
import java.security.Signature;
import java.security.cert.CertPathValidator;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.bouncycastle.asn1.pkcs.CertificationRequest;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Checks paths, revocation lists and requests on P-256 and SM2 with Bouncy Castle; written from docs/formats/certificates.md alone.
 *
 * <pre>
 * java -cp bcprov.jar Certificates.java batch DIR SECONDS
 *     every case DIR/NAME/{leaf,issuing,root,request}.der and {issuing,root}.crl, at a time; "NAME STATUS why" a line
 * </pre>
 *
 * Status: 0 holds, 1 does not hold, 2 cannot be read.
 */
public final class Certificates {
    private static final BouncyCastleProvider BC = new BouncyCastleProvider();

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(BC);
        Date at = new Date(1000 * Long.parseLong(arguments[2]));
        try (Stream<Path> cases = Files.list(Path.of(arguments[1]))) {
            for (Path dir : cases.sorted().toList()) {
                System.out.println(dir.getFileName() + " " + judge(dir, at));
            }
        }
    }

    private static String judge(Path dir, Date at) throws Exception {
        try {
            check(dir, at);
            return "0 holds";
        } catch (GeneralSecurityException e) {
            return "1 " + e.getMessage().replace('\n', ' ');
        } catch (IllegalArgumentException e) {
            return "2 " + e.getMessage();
        }
    }

    private static void check(Path dir, Date at) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", BC);
        X509Certificate leaf = certificate(factory, dir.resolve("leaf.der"));
        X509Certificate issuing = certificate(factory, dir.resolve("issuing.der"));
        X509Certificate root = certificate(factory, dir.resolve("root.der"));
        root.verify(root.getPublicKey(), BC);
        X509CRL ofRoot = (X509CRL) factory.generateCRL(stream(dir.resolve("root.crl")));
        X509CRL ofIssuing = (X509CRL) factory.generateCRL(stream(dir.resolve("issuing.crl")));
        ofIssuing.verify(issuing.getPublicKey(), BC);

        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.setDate(at);
        parameters.setSigProvider(BC.getName());
        parameters.addCertStore(
                CertStore.getInstance(
                        "Collection", new CollectionCertStoreParameters(List.of(ofRoot, ofIssuing, issuing)), BC));
        CertPathValidator.getInstance("PKIX", BC)
                .validate(factory.generateCertPath(List.of(leaf, issuing)), parameters);
        List<String> uses = leaf.getExtendedKeyUsage();
        if (!List.of("1.3.6.1.5.5.7.3.8").equals(uses) || !leaf.getCriticalExtensionOIDs().contains("2.5.29.37")) {
            throw new GeneralSecurityException("not a time-stamping certificate: " + uses);
        }
        checkRequest(dir.resolve("request.der"));
    }

    private static void checkRequest(Path file) throws Exception {
        CertificationRequest request = CertificationRequest.getInstance(Files.readAllBytes(file));
        String algorithm = request.getSignatureAlgorithm().getAlgorithm().getId();
        Signature signature =
                Signature.getInstance(algorithm.equals("1.2.156.10197.1.501") ? "SM3WITHSM2" : "SHA256WITHECDSA", BC);
        signature.initVerify(
                BouncyCastleProvider.getPublicKey(request.getCertificationRequestInfo().getSubjectPublicKeyInfo()));
        signature.update(request.getCertificationRequestInfo().getEncoded("DER"));
        if (!signature.verify(request.getSignature().getOctets())) {
            throw new GeneralSecurityException("the request's signature does not hold");
        }
    }

    private static X509Certificate certificate(CertificateFactory factory, Path file) throws Exception {
        return (X509Certificate) factory.generateCertificate(stream(file));
    }

    private static ByteArrayInputStream stream(Path file) throws Exception {
        return new ByteArrayInputStream(Files.readAllBytes(file));
    }
}
