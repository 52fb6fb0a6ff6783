import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.util.Date;
import java.util.stream.Stream;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.tsp.TSPException;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;
import org.bouncycastle.tsp.ers.ERSException;

/**
 * Checks evidence records (RFC 4998) with Bouncy Castle, which knows nothing of this project.
 *
 * <pre>
 * java -cp bcprov.jar:bcutil.jar:bcpkix.jar EvidenceRecords.java batch DIR SECONDS
 *     every DIR/NAME.er with the document DIR/NAME, as of a time; "NAME STATUS why" a line
 * </pre>
 *
 * Status: 0 holds, 1 does not hold, 2 cannot be read.
 */
public final class EvidenceRecords {
    private static final String SUFFIX = ".er";

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        DigestCalculatorProvider digests =
                new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
        Date at = new Date(1000 * Long.parseLong(arguments[2]));
        try (Stream<Path> files = Files.list(Path.of(arguments[1]))) {
            for (Path file : files.filter(f -> f.toString().endsWith(SUFFIX)).sorted().toList()) {
                String name = file.getFileName().toString();
                name = name.substring(0, name.length() - SUFFIX.length());
                System.out.println(name + " " + judge(file, file.resolveSibling(name), digests, at));
            }
        }
    }

    private static String judge(Path file, Path document, DigestCalculatorProvider digests, Date at)
            throws Exception {
        ERSEvidenceRecord record;
        try {
            record = new ERSEvidenceRecord(Files.readAllBytes(file), digests);
        } catch (RuntimeException | TSPException | ERSException e) {
            return "2 " + e.getMessage();
        }
        try {
            record.validate(
                    new JcaSimpleSignerInfoVerifierBuilder()
                            .setProvider("BC")
                            .build(record.getSigningCertificate()));
            record.validatePresent(new ERSByteData(Files.readAllBytes(document)), at);
            return "0 holds";
        } catch (TSPException | ERSException e) {
            return "1 " + String.valueOf(e.getMessage()).replace('\n', ' ');
        }
    }
}
