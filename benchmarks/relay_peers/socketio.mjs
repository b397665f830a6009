// The relay benchmark's peer: a Socket.IO router written after the protocol document's server example, without
// its Firebase check and its rate limit, which only makes it faster.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });
const connectedAgents = new Map();
const FIELDS = ['messageId', 'conversationId', 'senderId', 'recipientId', 'messageType', 'content', 'timestamp', 'metadata'];

io.on('connection', (socket) => {
  const agentId = socket.handshake.headers['x-agent-id'];
  connectedAgents.set(agentId, socket);
  socket.on('disconnect', () => connectedAgents.delete(agentId));
  socket.on('message', (messageData) => {
    try {
      const message = JSON.parse(messageData);
      if (!FIELDS.every((field) => field in message)) {
        return socket.emit('error', { errorCode: 'INVALID_MESSAGE_FORMAT', message: 'Invalid message format' });
      }
      if (message.senderId !== agentId) {
        return socket.emit('error', { errorCode: 'SENDER_MISMATCH' });
      }
      const recipientSocket = connectedAgents.get(message.recipientId);
      if (!recipientSocket) {
        return socket.emit('error', { errorCode: 'RECIPIENT_NOT_FOUND', originalMessage: message });
      }
      recipientSocket.emit('message', messageData);
      socket.emit('ack', { messageId: message.messageId });
    } catch {
      socket.emit('error', { errorCode: 'MESSAGE_ERROR', message: 'Error processing message' });
    }
  });
});
http.listen(0, '127.0.0.1', () => console.log(`listening on ws://127.0.0.1:${http.address().port}`));
process.on('SIGTERM', () => process.exit(0));
