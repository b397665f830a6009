// The relay benchmark's peer: a plain router on Node's `ws`. No authentication, no limits.
import { WebSocketServer } from 'ws';

const online = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, maxPayload: 131072 });

server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
server.on('connection', (socket, request) => {
  const agentId = request.headers['x-agent-id'];
  online.set(agentId, socket);
  socket.on('close', () => online.delete(agentId));
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    const recipient = online.get(message.recipientId);
    if (message.senderId !== agentId || !recipient) {
      socket.send(JSON.stringify({ errorCode: 'RECIPIENT_NOT_FOUND' }));
      return;
    }
    recipient.send(data, { binary: false });
    socket.send(JSON.stringify({ messageType: 'ACK', content: { messageId: message.messageId } }));
  });
});
process.on('SIGTERM', () => process.exit(0));
