import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const PYTHON = process.env["PYTHON"] ?? join(ROOT, ".venv", "bin", "python");

/** A server of the Python package in its own process. */
export class Server {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async start(): Promise<Server> {
    const process = spawn(PYTHON, [join(import.meta.dirname, "server.py")], {
      cwd: ROOT,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [first] = (await Promise.race([
      once(process.stdout, "data"),
      once(process, "exit").then(() => {
        throw new Error(`${PYTHON} did not serve; make setup installs what it needs`);
      }),
    ])) as [Buffer];
    return new Server(process, Number(first.toString()));
  }

  /** Make the server send an event. Returns the number of recipients. */
  async broadcast(jobId: string, event: "status" | "stage" | "error"): Promise<number> {
    // Not with fetch: that of happy-dom sends a CORS preflight, as a browser does.
    const sending = request({ port: this.port, path: `/jobs/${jobId}/${event}`, method: "POST" });
    sending.end();
    const [response] = (await once(sending, "response")) as [AsyncIterable<Buffer>];
    const body: Buffer[] = [];
    for await (const part of response) {
      body.push(part);
    }
    return Number(Buffer.concat(body).toString());
  }

  async stop(): Promise<void> {
    this.#process.stdin?.end();
    await once(this.#process, "exit");
  }
}

/** A network between a client and a server, which can be cut, be down, or drop everything. */
export class Network {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();
  /** All connections so far. */
  connections = 0;
  /** Whether new connections are refused. */
  down = false;
  /** Whether everything in both directions is dropped from now on. */
  frozen = false;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async to(target: number): Promise<Network> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const network = new Network(server);
    server.on("connection", (near) => {
      network.#forward(near, target);
    });
    return network;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  /** The open connections. */
  get open(): number {
    return this.#sockets.size;
  }

  /** End every connection without a close. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #forward(near: Socket, target: number): void {
    near.on("error", () => undefined);
    this.connections += 1;
    if (this.down) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    far.on("error", () => undefined);
    this.#sockets.add(near);
    for (const [from, to] of [[near, far], [far, near]] as const) {
      from.on("data", (data: Buffer) => {
        if (!this.frozen) {
          to.write(data);
        }
      });
      from.on("close", () => {
        to.destroy();
        this.#sockets.delete(near);
      });
    }
  }
}
