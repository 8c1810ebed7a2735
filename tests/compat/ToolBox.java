import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after another in one JVM, since one for each costs a test minutes. A line on standard input is the main class and its
 * arguments, each in base64; the answer is a line "code outBytes errBytes" and then what was printed. Where a tool would end the JVM its thread stands still.
 */
public final class ToolBox {
    private static volatile CompletableFuture<Integer> ending;

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        Exit.setExitProcedure((code, message) -> stop(code));
        Exit.setHaltProcedure((code, message) -> stop(code));
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            run(Arrays.stream(line.split(" ", -1)).map(word -> new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8)).toArray(String[]::new), answers);
        }
        Runtime.getRuntime().halt(0);
    }

    private static void stop(int code) {
        ending.complete(code);
        while (true) {
            LockSupport.park();
        }
    }

    private static void run(String[] command, PrintStream answers) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        ending = ended;
        Thread thread = new Thread(() -> call(command, ended));
        thread.setDaemon(true);
        thread.start();
        int code = ended.get();
        System.out.flush();
        System.err.flush();
        answer(code, out.toByteArray(), err.toByteArray(), answers);
    }

    private static void call(String[] command, CompletableFuture<Integer> ended) {
        try {
            Class.forName(command[0]).getMethod("main", String[].class).invoke(null, (Object) Arrays.copyOfRange(command, 1, command.length));
            ended.complete(0);
        } catch (ReflectiveOperationException e) {
            (e.getCause() == null ? e : e.getCause()).printStackTrace();
            ended.complete(1);
        }
    }

    private static void answer(int code, byte[] out, byte[] err, PrintStream answers) throws IOException {
        answers.write((code + " " + out.length + " " + err.length + "\n").getBytes(StandardCharsets.US_ASCII));
        answers.write(out);
        answers.write(err);
        answers.flush();
    }
}
