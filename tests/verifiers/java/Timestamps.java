import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.ess.ESSCertIDv2;
import org.bouncycastle.asn1.ess.SigningCertificateV2;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.tsp.TSPException;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampToken;

/**
 * Checks timestamps on SM2 and SM3 with Bouncy Castle's TSP classes.
 *
 * <pre>
 * java -cp bcprov.jar:bcutil.jar:bcpkix.jar Timestamps.java batch DIR
 *     every case DIR/NAME/{document,request,response,root}, DER; "NAME STATUS why" a line
 * </pre>
 *
 * Status: 0 holds, 1 does not hold, 2 cannot be read.
 */
public final class Timestamps {
    private static final BouncyCastleProvider BC = new BouncyCastleProvider();
    private static final String SM3 = "1.2.156.10197.1.401";
    private static final String SM2_WITH_SM3 = "1.2.156.10197.1.501";

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(BC);
        try (Stream<Path> cases = Files.list(Path.of(arguments[1]))) {
            for (Path dir : cases.sorted().toList()) {
                System.out.println(dir.getFileName() + " " + judge(dir));
            }
        }
    }

    private static String judge(Path dir) {
        try {
            check(dir);
            return "0 holds";
        } catch (GeneralSecurityException | OperatorCreationException e) {
            return "1 " + e.getMessage();
        } catch (TSPException e) {
            return "1 " + e.getMessage();
        } catch (IOException | RuntimeException e) {
            return "2 " + e.getMessage();
        }
    }

    private static void check(Path dir)
            throws IOException, TSPException, GeneralSecurityException, OperatorCreationException {
        TimeStampRequest request = new TimeStampRequest(Files.readAllBytes(dir.resolve("request")));
        TimeStampResponse response = new TimeStampResponse(Files.readAllBytes(dir.resolve("response")));
        // Status, nonce, imprint and policy, as they were asked for.
        response.validate(request);
        TimeStampToken token = response.getTimeStampToken();
        if (token == null) {
            throw new TSPException("no token");
        }
        MessageDigest digest = MessageDigest.getInstance(request.getMessageImprintAlgOID().getId(), BC);
        byte[] found = digest.digest(Files.readAllBytes(dir.resolve("document")));
        if (!Arrays.equals(found, token.getTimeStampInfo().getMessageImprintDigest())) {
            throw new GeneralSecurityException("another document");
        }
        checkSigner(token, certificate(dir.resolve("root")));
    }

    private static void checkSigner(TimeStampToken token, X509Certificate root)
            throws TSPException, IOException, GeneralSecurityException, OperatorCreationException {
        Collection<SignerInformation> signers = token.toCMSSignedData().getSignerInfos().getSigners();
        SignerInformation signer = signers.iterator().next();
        require(signers.size() == 1, "signers");
        require(SM2_WITH_SM3.equals(signer.getEncryptionAlgOID()), "signatureAlgorithm " + signer.getEncryptionAlgOID());
        require(SM3.equals(signer.getDigestAlgOID()), "digestAlgorithm " + signer.getDigestAlgOID());
        Attribute named = signer.getSignedAttributes().get(PKCSObjectIdentifiers.id_aa_signingCertificateV2);
        ESSCertIDv2[] ids = SigningCertificateV2.getInstance(named.getAttrValues().getObjectAt(0)).getCerts();
        require(ids.length == 1 && SM3.equals(ids[0].getHashAlgorithm().getAlgorithm().getId()), "ESSCertIDv2");

        Collection<X509CertificateHolder> own = token.getCertificates().getMatches(token.getSID());
        require(own.size() == 1, "certificates of the signer");
        X509CertificateHolder holder = own.iterator().next();
        // Signature, ESSCertIDv2, extended key usage and validity at genTime.
        token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider(BC).build(holder));
        checkPath(token, holder, root);
    }

    private static void checkPath(TimeStampToken token, X509CertificateHolder leaf, X509Certificate root)
            throws GeneralSecurityException {
        JcaX509CertificateConverter converter = new JcaX509CertificateConverter().setProvider(BC);
        List<X509Certificate> path = new ArrayList<>(List.of(converter.getCertificate(leaf)));
        Collection<X509CertificateHolder> brought = token.getCertificates().getMatches(null);
        for (X509CertificateHolder holder : brought) {
            if (holder.getSubject().equals(leaf.getIssuer())) {
                path.add(converter.getCertificate(holder));
            }
        }
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.setDate(token.getTimeStampInfo().getGenTime());
        parameters.setRevocationEnabled(false);
        parameters.setSigProvider(BC.getName());
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(path), BC));
        CertificateFactory factory = CertificateFactory.getInstance("X.509", BC);
        CertPathValidator.getInstance("PKIX", BC).validate(factory.generateCertPath(path), parameters);
    }

    private static void require(boolean holds, String what) throws GeneralSecurityException {
        if (!holds) {
            throw new GeneralSecurityException("found other " + what + " than expected");
        }
    }

    private static X509Certificate certificate(Path file) throws IOException, GeneralSecurityException {
        CertificateFactory factory = CertificateFactory.getInstance("X.509", BC);
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(Files.readAllBytes(file)));
    }
}
