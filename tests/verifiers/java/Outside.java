import java.io.IOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bouncycastle.asn1.x9.X9ECParameters;
import org.bouncycastle.crypto.Digest;
import org.bouncycastle.crypto.digests.SHA256Digest;
import org.bouncycastle.crypto.digests.SHA384Digest;
import org.bouncycastle.crypto.digests.SHA512Digest;
import org.bouncycastle.crypto.digests.SM3Digest;
import org.bouncycastle.crypto.ec.CustomNamedCurves;
import org.bouncycastle.crypto.macs.HMac;
import org.bouncycastle.crypto.params.ECDomainParameters;
import org.bouncycastle.crypto.params.ECPublicKeyParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.crypto.params.ParametersWithID;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;

/**
 * Checks FILE + PROOF + POLICY of an sm2-sm3 chain on Bouncy Castle; written from docs/formats alone.
 *
 * <pre>
 * java -cp bcprov.jar Outside.java verify-proof FILE PROOF POLICY
 * java -cp bcprov.jar Outside.java batch DIR      every case DIR/NAME/{file,proof,policy}; "NAME STATUS why" a line
 * </pre>
 *
 * Exit status: 0 holds, 1 does not hold, 2 cannot be read.
 */
public final class Outside {
    private static final byte[] USER_ID = "1234567812345678".getBytes(StandardCharsets.US_ASCII);
    private static final String NOTE = "chainnode/sm2-sm3/note/v1";
    private static final String COSIGNATURE = "chainnode/sm2-sm3/cosignature/v1";
    private static final X9ECParameters CURVE = CustomNamedCurves.getByName("sm2p256v1");
    private static final ECDomainParameters SM2 = new ECDomainParameters(CURVE);

    /** What was read and does not hold. */
    static final class Refused extends Exception {
        Refused(String why) {
            super(why);
        }
    }

    /** What cannot be read. */
    static final class Malformed extends Exception {
        Malformed(String why) {
            super(why);
        }
    }

    record Key(String name, byte[] id, byte[] point) {
        String lookup() {
            return name + "+" + HexFormat.of().formatHex(id);
        }
    }

    record Line(String name, byte[] id, byte[] value) {
        String lookup() {
            return name + "+" + HexFormat.of().formatHex(id);
        }
    }

    record Group(int threshold, List<String> members) {}

    record Policy(Map<String, Key> logs, Map<String, Key> witnesses, Map<String, Group> groups, String quorum) {
        boolean isMet(String name, Set<String> cosigned) {
            if (name.equals("none")) {
                return true;
            }
            if (witnesses.containsKey(name)) {
                return cosigned.contains(name);
            }
            Group group = groups.get(name);
            return group.members.stream().filter(m -> isMet(m, cosigned)).count() >= group.threshold;
        }
    }

    public static void main(String[] args) throws IOException {
        if (args.length == 2 && args[0].equals("batch")) {
            try (var cases = Files.list(Path.of(args[1]))) {
                for (Path c : cases.sorted().toList()) {
                    String[] why = {"holds"};
                    int status = status(c.resolve("file"), c.resolve("proof"), c.resolve("policy"), why);
                    System.out.println(c.getFileName() + " " + status + " " + why[0]);
                }
            }
            return;
        }
        if (args.length != 4 || !args[0].equals("verify-proof")) {
            System.err.println("usage: verify-proof FILE PROOF POLICY | batch DIR");
            System.exit(2);
        }
        String[] why = {"holds"};
        int status = status(Path.of(args[1]), Path.of(args[2]), Path.of(args[3]), why);
        System.err.println(why[0]);
        System.exit(status);
    }

    static int status(Path file, Path proof, Path policy, String[] why) {
        try {
            verify(Files.readAllBytes(file), Files.readAllBytes(proof), Files.readAllBytes(policy));
            return 0;
        } catch (Refused e) {
            why[0] = e.getMessage();
            return 1;
        } catch (Malformed | IOException e) {
            why[0] = e.getMessage();
            return 2;
        }
    }

    static void verify(byte[] file, byte[] proof, byte[] policyBytes) throws Refused, Malformed {
        Policy policy = readPolicy(text(policyBytes));
        String whole = text(proof);
        int split = whole.indexOf("\n\n");
        need(split >= 0, "proof has no empty line");
        String[] head = whole.substring(0, split).split("\n", -1);
        need(head.length >= 3 && head[0].equals("c2sp.org/tlog-proof@v1"), "proof header");
        need(head[1].startsWith("extra ") && head[2].startsWith("index "), "extra and index lines");
        byte[] extra = base64(head[1].substring(6));
        long index = number(head[2].substring(6));
        List<byte[]> path = new ArrayList<>();
        for (String line : Arrays.asList(head).subList(3, head.length)) {
            path.add(base64(line));
            need(path.get(path.size() - 1).length == 32, "a hash of the proof is not 32 bytes long");
        }
        String note = whole.substring(split + 2);
        int end = note.lastIndexOf("\n\n");
        need(end >= 0 && note.endsWith("\n"), "note has no signature block");
        String body = note.substring(0, end + 1);
        String[] checkpoint = body.split("\n", -1);
        need(checkpoint.length == 4 && checkpoint[3].isEmpty(), "checkpoint is not three lines");
        String origin = checkpoint[0];
        checkName(origin);
        long size = number(checkpoint[1]);
        byte[] root = base64(checkpoint[2]);
        need(root.length == 32, "root is not 32 bytes long");
        List<Line> lines = readLines(note.substring(end + 2, note.length() - 1));

        byte[] leaf = openRecord(extra, file);
        checkSignatures(policy, origin, body, lines);
        if (index >= size) {
            throw new Refused("index is not below the tree size");
        }
        List<byte[]> rest = new ArrayList<>(path);
        byte[] computed = rootFrom(sm3(new byte[] {0}, leaf), index, size, rest);
        if (!rest.isEmpty() || !Arrays.equals(computed, root)) {
            throw new Refused("the record is not at that index");
        }
    }

    private static void checkSignatures(Policy policy, String origin, String body, List<Line> lines) throws Refused {
        if (policy.logs.values().stream().noneMatch(k -> k.name.equals(origin))) {
            throw new Refused("policy is of another chain");
        }
        Map<String, String> names = new HashMap<>();
        policy.witnesses.forEach((name, key) -> names.put(key.lookup(), name));
        boolean logSigned = false;
        Set<String> cosigned = new HashSet<>();
        for (Line line : lines) {
            Key log = policy.logs.get(line.lookup());
            String witness = names.get(line.lookup());
            if (log != null && log.name.equals(origin)) {
                if (!isSignature(log.point, body, line.value)) {
                    throw new Refused("log signature");
                }
                logSigned = true;
            } else if (witness != null) {
                if (line.value.length != 72 || line.value[0] < 0) {
                    throw new Refused("cosignature has no time");
                }
                long time = ByteBuffer.wrap(line.value).getLong();
                String message = "cosignature/v1\ntime " + time + "\n" + body;
                byte[] signature = Arrays.copyOfRange(line.value, 8, 72);
                if (!isSignature(policy.witnesses.get(witness).point, message, signature)) {
                    throw new Refused("cosignature of " + witness);
                }
                cosigned.add(witness);
            }
        }
        if (!logSigned || !policy.isMet(policy.quorum, cosigned)) {
            throw new Refused("no log of the policy, or too few of its witnesses");
        }
    }

    /** RFC 9162 section 2.1.3: recompute the root of `size` leaves from a leaf hash, taking hashes off `path`. */
    private static byte[] rootFrom(byte[] hash, long index, long size, List<byte[]> path) throws Refused {
        if (size == 1) {
            return hash;
        }
        if (path.isEmpty()) {
            throw new Refused("inclusion proof is too short");
        }
        byte[] sibling = path.remove(path.size() - 1);
        long left = Long.highestOneBit(size - 1);
        return index < left
                ? sm3(new byte[] {1}, rootFrom(hash, index, left, path), sibling)
                : sm3(new byte[] {1}, sibling, rootFrom(hash, index - left, size - left, path));
    }

    private static byte[] openRecord(byte[] extra, byte[] file) throws Refused, Malformed {
        List<Object> pair = Msgpack.array(Msgpack.read(extra), 2);
        byte[] leaf = Msgpack.bytes(pair.get(0));
        List<Object> leafItems = Msgpack.array(Msgpack.read(leaf), 12);
        need(leafItems.get(0).equals(BigInteger.ONE), "record version");
        if (!"notary".equals(leafItems.get(1))) {
            throw new Refused("the record is not a notarization");
        }
        for (int at : new int[] {2, 3, 4, 5, 7, 8}) {
            need(leafItems.get(at) instanceof BigInteger b && b.signum() >= 0, "record number");
        }
        need(Msgpack.bytes(leafItems.get(6)).length == 32, "transaction id");
        need(leafItems.get(9) instanceof String && leafItems.get(10) instanceof String, "contract and account");
        List<Object> body = Msgpack.array(leafItems.get(11), -1);
        need(!body.isEmpty(), "body is empty");
        byte[] commitment = Msgpack.bytes(body.get(0));
        List<Object> opening = Msgpack.array(pair.get(1), 2);
        byte[] salt = Msgpack.bytes(opening.get(0));
        List<Object> digests = Msgpack.array(opening.get(1), -1);
        need(salt.length == 32 && !digests.isEmpty() && digests.size() <= 3, "opening");
        var list = new java.io.ByteArrayOutputStream();
        list.write(0x90 | digests.size());
        String last = "";
        for (Object item : digests) {
            List<Object> digest = Msgpack.array(item, 2);
            need(digest.get(0) instanceof String, "algorithm");
            String algorithm = (String) digest.get(0);
            byte[] value = Msgpack.bytes(digest.get(1));
            Digest function = switch (algorithm) {
                case "sha256" -> new SHA256Digest();
                case "sha384" -> new SHA384Digest();
                case "sha512" -> new SHA512Digest();
                case "sm3" -> new SM3Digest();
                default -> throw new Malformed("algorithm " + algorithm);
            };
            need(algorithm.compareTo(last) > 0 && value.length == function.getDigestSize(), "digest list");
            last = algorithm;
            if (!MessageDigest.isEqual(value, digest(function, file))) {
                throw new Refused(algorithm + " of the file is another");
            }
            list.write(0x92);
            list.write(0xa0 | algorithm.length());
            list.writeBytes(algorithm.getBytes(StandardCharsets.US_ASCII));
            list.write(0xc4);
            list.write(value.length);
            list.writeBytes(value);
        }
        HMac mac = new HMac(new SM3Digest());
        mac.init(new KeyParameter(salt));
        byte[] message = list.toByteArray();
        mac.update(message, 0, message.length);
        byte[] computed = new byte[32];
        mac.doFinal(computed, 0);
        if (!MessageDigest.isEqual(computed, commitment)) {
            throw new Refused("the record commits to other digests");
        }
        return leaf;
    }

    private static Policy readPolicy(String text) throws Malformed {
        need(text.endsWith("\n"), "policy: last line is not terminated");
        need(text.chars().allMatch(c -> c >= 0x20 && c != 0x7f || c == '\n' || c == '\t'), "policy: control character");
        Map<String, Key> logs = new HashMap<>();
        Map<String, Key> witnesses = new HashMap<>();
        Map<String, Group> groups = new HashMap<>();
        Set<String> free = new HashSet<>();
        Set<String> taken = new HashSet<>();
        String quorum = null;
        for (String line : text.substring(0, text.length() - 1).split("\n", -1)) {
            List<String> words = Arrays.stream(line.split("[ \t]+")).filter(w -> !w.isEmpty()).toList();
            if (words.isEmpty() || words.get(0).startsWith("#")) {
                continue;
            }
            int count = words.size();
            switch (words.get(0)) {
                case "log" -> {
                    need(count == 2 || count == 3, "log line");
                    Key key = readKey(words.get(1), NOTE);
                    need(taken.add("log " + HexFormat.of().formatHex(key.point)), "duplicate log key");
                    logs.put(key.lookup(), key);
                }
                case "witness" -> {
                    need(count == 3 || count == 4, "witness line");
                    Key key = readKey(words.get(2), COSIGNATURE);
                    need(taken.add("witness " + HexFormat.of().formatHex(key.point)), "duplicate witness key");
                    define(words.get(1), taken, free);
                    witnesses.put(words.get(1), key);
                }
                case "group" -> {
                    need(count > 3, "group line");
                    List<String> members = words.subList(3, count);
                    for (String member : members) {
                        need(free.remove(member), "group member " + member);
                    }
                    long threshold = switch (words.get(2)) {
                        case "all" -> members.size();
                        case "any" -> 1;
                        default -> number(words.get(2));
                    };
                    need(threshold >= 1 && threshold <= members.size(), "threshold");
                    define(words.get(1), taken, free);
                    groups.put(words.get(1), new Group((int) threshold, members));
                }
                case "quorum" -> {
                    need(count == 2 && quorum == null, "quorum line");
                    quorum = words.get(1);
                    need(quorum.equals("none") || taken.contains("name " + quorum), "quorum names nothing");
                }
                default -> throw new Malformed("policy: " + line);
            }
        }
        need(quorum != null, "no quorum line");
        return new Policy(logs, witnesses, groups, quorum);
    }

    private static void define(String name, Set<String> taken, Set<String> free) throws Malformed {
        need(!name.equals("none") && taken.add("name " + name), "name " + name + " is taken");
        free.add(name);
    }

    private static Key readKey(String vkey, String identifier) throws Malformed {
        String[] parts = vkey.split("\\+", 3);
        need(parts.length == 3, "vkey");
        checkName(parts[0]);
        byte[] material = base64(parts[2]);
        byte[] type = ("?" + identifier).getBytes(StandardCharsets.US_ASCII);
        type[0] = (byte) 0xff;
        need(material.length == type.length + 65, "vkey of another type");
        need(Arrays.equals(Arrays.copyOf(material, type.length), type), "vkey of another type");
        byte[] point = Arrays.copyOfRange(material, type.length, material.length);
        try {
            need(point[0] == 4 && !CURVE.getCurve().decodePoint(point).isInfinity(), "public key");
        } catch (IllegalArgumentException e) {
            throw new Malformed("public key is not on the curve");
        }
        byte[] name = (parts[0] + "\n").getBytes(StandardCharsets.UTF_8);
        byte[] id = Arrays.copyOf(sm3(name, material), 4);
        need(HexFormat.of().formatHex(id).equals(parts[1]), "key id is not that of the key");
        return new Key(parts[0], id, point);
    }

    private static List<Line> readLines(String block) throws Malformed {
        List<Line> lines = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        for (String line : block.split("\n", -1)) {
            String[] parts = line.split(" ", -1);
            need(parts.length == 3 && parts[0].equals("\u2014"), "signature line");
            checkName(parts[1]);
            byte[] value = base64(parts[2]);
            need(value.length > 4, "signature is too short");
            Line read = new Line(parts[1], Arrays.copyOf(value, 4), Arrays.copyOfRange(value, 4, value.length));
            need(seen.add(read.lookup()), "two signatures by one key");
            lines.add(read);
        }
        return lines;
    }

    private static boolean isSignature(byte[] point, String message, byte[] signature) {
        if (signature.length != 64) {
            return false;
        }
        SM2Signer signer = new SM2Signer(PlainDSAEncoding.INSTANCE, new SM3Digest());
        var key = new ECPublicKeyParameters(CURVE.getCurve().decodePoint(point), SM2);
        signer.init(false, new ParametersWithID(key, USER_ID));
        byte[] bytes = message.getBytes(StandardCharsets.UTF_8);
        signer.update(bytes, 0, bytes.length);
        return signer.verifySignature(signature);
    }

    private static byte[] sm3(byte[]... parts) {
        return digest(new SM3Digest(), parts);
    }

    private static byte[] digest(Digest function, byte[]... parts) {
        for (byte[] part : parts) {
            function.update(part, 0, part.length);
        }
        byte[] out = new byte[function.getDigestSize()];
        function.doFinal(out, 0);
        return out;
    }

    private static void checkName(String name) throws Malformed {
        boolean fine = !name.isEmpty()
                && name.codePoints().noneMatch(c -> c <= 0x20 || c == '+' || Character.isSpaceChar(c) || c == 0x85);
        need(fine, "key name");
    }

    private static long number(String text) throws Malformed {
        need(text.matches("0|[1-9][0-9]{0,18}"), "number");
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new Malformed("number is too large");
        }
    }

    private static byte[] base64(String text) throws Malformed {
        try {
            byte[] data = Base64.getDecoder().decode(text);
            need(Base64.getEncoder().encodeToString(data).equals(text), "base64 is not canonical");
            return data;
        } catch (IllegalArgumentException e) {
            throw new Malformed("base64");
        }
    }

    private static String text(byte[] data) throws Malformed {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(data)).toString();
        } catch (CharacterCodingException e) {
            throw new Malformed("not UTF-8");
        }
    }

    static void need(boolean holds, String what) throws Malformed {
        if (!holds) {
            throw new Malformed(what);
        }
    }

    /** Canonical MessagePack: nil, booleans, integers, text, binary, arrays; shortest forms, nothing behind. */
    static final class Msgpack {
        private final ByteBuffer data;

        private Msgpack(byte[] bytes) {
            data = ByteBuffer.wrap(bytes);
        }

        static Object read(byte[] bytes) throws Malformed {
            Msgpack reader = new Msgpack(bytes);
            try {
                Object value = reader.value(0);
                need(!reader.data.hasRemaining(), "bytes behind the value");
                return value;
            } catch (java.nio.BufferUnderflowException e) {
                throw new Malformed("MessagePack is cut off");
            }
        }

        static byte[] bytes(Object value) throws Malformed {
            need(value instanceof byte[], "binary expected");
            return (byte[]) value;
        }

        @SuppressWarnings("unchecked")
        static List<Object> array(Object value, int arity) throws Malformed {
            need(value instanceof List, "array expected");
            List<Object> items = (List<Object>) value;
            need(arity < 0 || items.size() == arity, "array of another length");
            return items;
        }

        private Object value(int depth) throws Malformed {
            need(depth <= 16, "nested too deeply");
            int b = data.get() & 0xff;
            if (b < 0x80) {
                return BigInteger.valueOf(b);
            }
            if (b >= 0xe0) {
                return BigInteger.valueOf((byte) b);
            }
            if (b >= 0xa0 && b < 0xc0) {
                return string(b & 0x1f);
            }
            if (b >= 0x90 && b < 0xa0) {
                return items(b & 0x0f, depth);
            }
            return switch (b) {
                case 0xc0 -> Msgpack.class; // nil: a value that is neither number, text, binary nor array
                case 0xc2 -> Boolean.FALSE;
                case 0xc3 -> Boolean.TRUE;
                case 0xc4 -> binary(length(1, 0));
                case 0xc5 -> binary(length(2, 1 << 8));
                case 0xc6 -> binary(length(4, 1 << 16));
                case 0xcc -> number(1, 0x80);
                case 0xcd -> number(2, 1 << 8);
                case 0xce -> number(4, 1 << 16);
                case 0xcf -> number(8, 1L << 32);
                case 0xd9 -> string(length(1, 32));
                case 0xda -> string(length(2, 1 << 8));
                case 0xdc -> items(length(2, 16), depth);
                default -> throw new Malformed("MessagePack type " + b);
            };
        }

        private BigInteger number(int bytes, long least) throws Malformed {
            BigInteger value = new BigInteger(1, binary(bytes));
            need(value.compareTo(BigInteger.valueOf(least)) >= 0, "not the shortest form");
            return value;
        }

        private int length(int bytes, int least) throws Malformed {
            BigInteger value = number(bytes, least);
            need(value.bitLength() < 31 && value.intValue() <= data.remaining(), "length");
            return value.intValue();
        }

        private byte[] binary(int length) {
            byte[] out = new byte[length];
            data.get(out);
            return out;
        }

        private String string(int length) throws Malformed {
            return text(binary(length));
        }

        private List<Object> items(int count, int depth) throws Malformed {
            List<Object> items = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                items.add(value(depth + 1));
            }
            return items;
        }
    }
}
